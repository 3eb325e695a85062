"""The report of a search: the table, the Pareto front, pictures by Optuna and Matplotlib, and what was found in words."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from harness.report.format import seconds, size
from harness.tasks.exploring import findings, lengths
from harness.tasks.exploring.folder import ExploreFolder
from harness.tasks.exploring.search import REASON, TEST, seed_of
from harness.tasks.exploring.space import SEED

COSTS = ("seconds", "peak_memory_bytes")
COORDINATES, FRONT = "parallel-coordinates.png", "front.png"


def trials(study: optuna.Study) -> pd.DataFrame:
    """One row a trial that was trained to its end or was ended early: its values, accuracy, time, memory, size."""
    rows: list[dict[str, Any]] = []
    for trial in study.trials:
        if trial.params:
            names = ("seconds", "peak_memory_bytes", "parameters")
            found = {"accuracy": trial.value, "test": trial.user_attrs.get(f"{TEST}accuracy")}
            found |= {name: trial.user_attrs.get(name) for name in names} | {REASON: trial.user_attrs.get(REASON, "")}
            rows.append({**trial.params, SEED: seed_of(trial), "state": trial.state.name.lower(), **found})
    return pd.DataFrame(rows)


def recipes(folder: ExploreFolder, found: pd.DataFrame) -> pd.DataFrame:
    """One row a recipe that was trained to its end, best first, and whether it is on the front.

    There is no front where lengths are compared: a recipe is no better for an easier question.
    """
    whole = found[found.state == "complete"] if len(found) else found
    if not len(whole):
        return pd.DataFrame()
    # A sampler may choose a recipe twice; trained again with its seed it is the same model, and says nothing of the noise.
    whole = whole.drop_duplicates([*folder.space.values, SEED])
    of = findings.of_seeds(whole, list(folder.space.values))
    if folder.compares_lengths:
        return of
    return of.assign(front=findings.front(of, "accuracy", COSTS))


def markdown(folder: ExploreFolder, found: pd.DataFrame) -> str:
    """The report."""
    recipe, best = folder.space.recipe, recipes(folder, found)
    ended = int((found.state != "complete").sum()) if len(found) else 0
    lines = [f"# Exploring {recipe.task}: {recipe.data}", ""]
    trained = f"{len(found)} trainings with {folder.attention.attention}, {ended} of them ended early."
    lines += [f"{trained} {folder.machine().told}", ""]
    if len(best):
        lines += [said(folder, best), ""]
        if folder.compares_lengths:
            top = lengths.best(best, recipe)
            lines += [lengths.shown(top, list(folder.space.values)).to_markdown(index=False, disable_numparse=True), ""]
            lines += [f"![Accuracy over length]({lengths.PICTURE})", "", "Every recipe:", ""]
        lines += [_shown(best).to_markdown(index=False, disable_numparse=True), ""]
        if not folder.compares_lengths:
            lines += ["On the front: no other recipe is as good, as fast and as small, and better in one of these.", ""]
            lines += [f"![Accuracy against time]({FRONT})", ""]
        if len(best) > 1:
            lines += [f"![Every training]({COORDINATES})", ""]
    lines += ["Recipe:", "", *(f"- {name}: {value}" for name, value in recipe.to_json().items())]
    return "\n".join(lines) + "\n"


def said(folder: ExploreFolder, best: pd.DataFrame) -> str:
    """What was found, in words."""
    recipe = folder.space.recipe
    if folder.compares_lengths:
        return lengths.paragraph(lengths.best(best, recipe), lengths.chance(recipe))
    return findings.paragraph(best, list(folder.space.values))


def _shown(best: pd.DataFrame) -> pd.DataFrame:
    shown = best.drop(columns=["parameters", "deviation", "test_deviation"]).copy()
    shown["accuracy"] = [_with_spread(*row) for row in zip(best.accuracy, best.deviation, strict=True)]
    shown["test"] = [_with_spread(value) for value in best.test]
    shown["seconds"] = [seconds(value) for value in best.seconds]
    shown["peak_memory_bytes"] = [size(value) for value in best.peak_memory_bytes]
    if "front" in best:
        shown["front"] = ["yes" if value else "" for value in best.front]
    shown = shown.rename(columns={"seconds": "training", "peak_memory_bytes": "memory"})
    shown.columns = shown.columns.str.replace("_", " ")
    return shown if shown.test.astype(bool).any() else shown.drop(columns="test")


def _with_spread(value: float, deviation: float = math.nan) -> str:
    spread = "" if pd.isna(deviation) else f" ± {deviation:.3f}"
    return "" if pd.isna(value) else f"{value:.3f}{spread}"


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
        if len(best) > 1:
            _draw_coordinates(folder, study)
        if folder.compares_lengths:
            recipe = folder.space.recipe
            lengths.draw(lengths.best(best, recipe), lengths.chance(recipe), folder.path / lengths.PICTURE)
        else:
            _draw_front(folder, best)


def _draw_front(folder: ExploreFolder, best: pd.DataFrame) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    on = best[findings.front(best, "accuracy", ("seconds",))].sort_values("seconds")  # What the picture shows: time alone.
    axes.errorbar(best.seconds, best.accuracy, best.deviation.fillna(0), fmt="o", color="#999", label="recipes")
    axes.plot(on.seconds, on.accuracy, "o-", color="#1450a0", drawstyle="steps-post", zorder=3, label="front")
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


def print_to(console: Console, folder: ExploreFolder, study: optuna.Study) -> None:
    """The same in the terminal."""
    best = recipes(folder, trials(study))
    if not len(best):
        console.print("No training came to its end; more --minutes, or fewer --steps, help.")
        return
    shown = lengths.shown(lengths.best(best, folder.space.recipe), []) if folder.compares_lengths else _shown(best)
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in shown.columns:
        drawn.add_column(name.replace(" ", "\n"), justify="right", overflow="fold")
    for row in shown.itertuples(index=False):
        drawn.add_row(*map(str, row))
    console.print(drawn)
    console.print(said(folder, best))
