"""The report of a search: the table, the Pareto front, pictures by Optuna and Matplotlib, and what was found in words."""

from __future__ import annotations

from typing import Any

import optuna
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from harness.report.format import seconds, size
from harness.tasks.exploring import findings
from harness.tasks.exploring.folder import ExploreFolder
from harness.tasks.exploring.space import SEED

COMPLETE = optuna.trial.TrialState.COMPLETE
COSTS = ("seconds", "peak_memory_bytes")
COORDINATES, FRONT, ALONG = "parallel-coordinates.png", "front.png", "accuracy.png"


def trials(study: optuna.Study) -> pd.DataFrame:
    """One row a trial that was trained to its end or was ended early: its values, accuracy, time, memory, size."""
    rows: list[dict[str, Any]] = []
    for trial in study.trials:
        if trial.params:
            attributes = {name: trial.user_attrs.get(name) for name in ("seconds", "peak_memory_bytes", "parameters")}
            best = trial.user_attrs.get("accuracy", trial.value)
            rows.append({**trial.params, "state": trial.state.name.lower(), "accuracy": best, **attributes,
                         "reason": trial.user_attrs.get("reason", "")})  # fmt: skip
    return pd.DataFrame(rows)


def recipes(folder: ExploreFolder, found: pd.DataFrame) -> pd.DataFrame:
    """One row a recipe that was trained to its end, best first, and whether it is on the front."""
    whole = found[found.state == "complete"] if len(found) else found
    if not len(whole):
        return pd.DataFrame()
    of = findings.of_seeds(whole, list(folder.space.values))
    return of.assign(front=findings.front(of, "accuracy", COSTS))


def markdown(folder: ExploreFolder, found: pd.DataFrame) -> str:
    """The report."""
    recipe, best = folder.space.recipe, recipes(folder, found)
    ended = int((found.state != "complete").sum()) if len(found) else 0
    lines = [f"# Exploring {recipe.task}: {recipe.data}", ""]
    lines += [f"{len(found)} trainings with {folder.attention.attention}, {ended} of them ended early.", ""]
    if len(best):
        lines += [findings.paragraph(best, list(folder.space.values)), ""]
        lines += [_shown(best).to_markdown(index=False, disable_numparse=True), ""]
        lines += ["On the front: no other recipe is as good, as fast and as small, and better in one of these.", ""]
        lines += [f"![Accuracy against time]({FRONT})", "", f"![Every training]({COORDINATES})", ""]
    lines += ["Recipe:", "", *(f"- {name}: {value}" for name, value in recipe.to_json().items())]
    return "\n".join(lines) + "\n"


def _shown(best: pd.DataFrame) -> pd.DataFrame:
    shown = best.drop(columns=["parameters"]).copy()
    shown["accuracy"] = [f"{value:.3f}" for value in best.accuracy]
    shown["deviation"] = ["" if pd.isna(value) else f"{value:.3f}" for value in best.deviation]
    shown["seconds"] = [seconds(value) for value in best.seconds]
    shown["peak_memory_bytes"] = [size(value) for value in best.peak_memory_bytes]
    shown["front"] = ["yes" if value else "" for value in best.front]
    return shown.rename(columns={"seconds": "training", "peak_memory_bytes": "memory", "deviation": "± of seeds"})


def write(folder: ExploreFolder, study: optuna.Study) -> None:
    """results.csv, report.md and, where Matplotlib is, the pictures."""
    found = trials(study)
    folder.write_text("results.csv", found.to_csv(index=False))
    folder.write_text("report.md", markdown(folder, found))
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    best = recipes(folder, found)
    if len(best):
        _draw_front(folder, best)
        _draw_coordinates(folder, study)
        if len(folder.space.values.get("longest", ())) > 1:
            _draw_along(folder, best)


def _draw_front(folder: ExploreFolder, best: pd.DataFrame) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    on = best[best.front].sort_values("seconds")
    axes.errorbar(best.seconds, best.accuracy, best.deviation.fillna(0), fmt="o", color="#999", label="recipes")
    axes.plot(on.seconds, on.accuracy, "o-", color="#1450a0", label="front")
    axes.set(xlabel="seconds of training", ylabel="accuracy", title="Accuracy against time")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(folder.path / FRONT, dpi=110)
    pyplot.close(figure)


def _draw_coordinates(folder: ExploreFolder, study: optuna.Study) -> None:
    import warnings

    from matplotlib import pyplot

    names = [name for name in folder.space.values if name != SEED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        axes = optuna.visualization.matplotlib.plot_parallel_coordinate(study, params=names, target_name="accuracy")
    axes.figure.set_size_inches(9, 4.5)
    axes.figure.savefig(folder.path / COORDINATES, dpi=110, bbox_inches="tight")
    pyplot.close(axes.figure)


def _draw_along(folder: ExploreFolder, best: pd.DataFrame) -> None:
    """The best of each model over the length."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    by = "model" if "model" in best else None
    for name, some in best.groupby(by) if by else [(folder.space.recipe.model, best)]:
        top = some.sort_values("accuracy").groupby("longest").tail(1).sort_values("longest")
        axes.errorbar(top.longest, top.accuracy, top.deviation.fillna(0), fmt="o-", capsize=3, label=str(name))
    axes.set(
        xlabel="tokens",
        ylabel="accuracy",
        xscale="log",
        title="Accuracy over length, the best recipe of each",
        ylim=(0, 1.05),
    )
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(folder.path / ALONG, dpi=110)
    pyplot.close(figure)


def print_to(console: Console, folder: ExploreFolder, study: optuna.Study) -> None:
    """The same in the terminal."""
    best = recipes(folder, trials(study))
    if not len(best):
        console.print("No training came to its end; more --minutes, or fewer --steps, help.")
        return
    shown = _shown(best)
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in shown.columns:
        drawn.add_column(name, justify="right")
    for row in shown.itertuples(index=False):
        drawn.add_row(*map(str, row))
    console.print(drawn)
    console.print(findings.paragraph(best, list(folder.space.values)))
