"""The report of a run of trainings: a table, a picture of the curves, and what they say in words."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from harness.report.format import seconds, size
from harness.tasks.exploring.findings import noise, told_apart
from harness.tasks.plan import TaskFolder
from harness.tasks.sameness import ADMITTED, SHAKEN, STEPS
from harness.tasks.summary import BASELINE, DEVIATION, over_seeds, scores, table

PICTURE, REPORT, TABLE = "curves.png", "report.md", "results.csv"
HEADINGS = {
    "bleu": "BLEU", "chrf": "chrF", "bleu_new": "BLEU, new", "chrf_new": "chrF, new", "exact": "exact %",
    "exact_greedy": "exact %, greedy", "bleu_greedy": "BLEU, greedy", "chrf_greedy": "chrF, greedy",
    "bleu_new_greedy": "BLEU, new, greedy", "chrf_new_greedy": "chrF, new, greedy", "phoneme_errors": "phoneme errors %",
    "word_errors": "word errors %", "phoneme_errors_greedy": "phoneme errors %, greedy",
    "word_errors_greedy": "word errors %, greedy",
}  # fmt: skip
"""Of scores in the table that people read."""

FULL_WIDTH = 112
"""Columns of a terminal that the whole table needs."""

ERRORS = ("loss", "phoneme_errors", "word_errors")
"""Scores of which less is better."""

_SMOOTHED = 20
"""Steps whose losses are averaged in the picture."""


def shown(found: pd.DataFrame, narrow: bool = False) -> pd.DataFrame:
    """The table of `over_seeds` as people read it; a `narrow` one has no greedy translations, and no memory."""
    names = [name for name in scores(found) if not (narrow and name.endswith("_greedy"))]
    rows = []
    for row in found.to_dict("records"):
        rows.append(
            {
                "": row["name"],
                **{HEADINGS.get(name, name): shown_score(name, row[name], row[f"{name}{DEVIATION}"]) for name in names},
                "seeds": f"{row['seeds']}" if row["seeds"] > 1 else "",
                "training": seconds(row["seconds"]) if row["seconds"] > 0 else "",
                "steps": f"{row['steps']:.0f}" if row["steps"] > 0 else "",
                "memory": size(row["peak_memory_bytes"]) if row["peak_memory_bytes"] > 0 else "",
                "curve": _apart(row["apart_roundings"]),
            }
        )
    whole = pd.DataFrame(rows)
    spare = [name for name in whole.columns[1:] if not whole[name].astype(bool).any()]
    return whole.drop(columns=[*spare, *([] if not narrow else ["steps", "memory"])], errors="ignore")


def shown_score(name: str, value: float, deviation: float = math.nan) -> str:
    """A score as people read it, with what it differs by between seeds."""
    if pd.isna(value):
        return ""
    digits = 3 if name in ("accuracy", "loss") else 2 if name.startswith("exact") else 1
    spread = "" if pd.isna(deviation) else f" ± {deviation:.{digits}f}"
    return f"{value:.{digits}f}{spread}"


def _apart(roundings: float) -> str:
    if pd.isna(roundings):
        return ""
    return "the same" if roundings <= ADMITTED else f"{roundings:.0f} roundings apart"


def markdown(folder: TaskFolder) -> str:
    """The report."""
    recipe, found = folder.trainings[0].recipe, over_seeds(table(folder))
    lines = [f"# {recipe.task}: {recipe.data}", "", sizes(folder), ""]
    if len(found):
        lines += [shown(found).to_markdown(index=False, disable_numparse=True), ""]
    lines += [f"- {line}" for line in words(found, folder)]
    lines += ["", f"![Loss over steps]({PICTURE})", "", "Recipe:", ""]
    lines += [f"- {name}: {value}" for name, value in recipe.to_json().items()]
    return "\n".join(lines) + "\n"


def sizes(folder: TaskFolder) -> str:
    """What is learnt from, in a sentence."""
    parts = folder.notes.parts
    of = ", ".join(f"{count:,} to {part if part != 'train' else 'train on'}" for part, count in parts.items())
    return f"{of}. {folder.machine().told}" if of else folder.machine().told


def words(found: pd.DataFrame, folder: TaskFolder) -> list[str]:
    """What the table of `over_seeds` says, in sentences; others are compared with the first training."""
    first = folder.trainings[0].subject
    plugins = {one.subject: one.origin.location for one in folder.trainings if one.origin and one.origin.kind == "file"}
    measured, floors = found[found.status == "ok"], found[found.status == BASELINE]
    said = []
    for name in scores(found):
        if measured[name].notna().any() and floors[name].notna().any():
            said.append(_beside(name, measured, floors))
    said += _between(measured, first)
    for row in measured[measured.apart_roundings > ADMITTED].itertuples():
        plugin = f" --plugin {shlex.quote(plugins[row.name])}" if row.name in plugins else ""
        said.append(
            f"{row.name} learns along another curve, {row.apart_nats:.2g} nats apart within {STEPS} steps: more than "
            "rounding explains. Its scores do not tell whether it is right; "
            f"`python -m harness check --impl {row.name}{plugin}` does."
        )
    return said + [f"{row.name}: {row.reason}" for row in found.itertuples() if isinstance(row.reason, str) and row.reason]


def _between(measured: pd.DataFrame, first: str) -> list[str]:
    """Whether the others' accuracy is within what the seeds of both explain."""
    several = measured[measured.seeds > 1]
    if "accuracy" not in measured or first not in set(several.name):
        return []
    between = noise(several.rename(columns={f"accuracy{DEVIATION}": "deviation"}))
    one, said = several[several.name == first].iloc[0], []
    for other in several[several.name != first].itertuples():
        apart = told_apart(one.accuracy - other.accuracy, between, (one.seeds, other.seeds), int((several.seeds - 1).sum()))
        verb = "differ in accuracy by more than" if apart else "do not differ in accuracy beyond what"
        said.append(f"{first} and {other.name} {verb} their seeds explain.")
    return said


def _beside(name: str, measured: pd.DataFrame, floors: pd.DataFrame) -> str:
    less = name in ERRORS
    best, floor = ((some.sort_values(name, ascending=less).iloc[0]) for some in (measured, floors.dropna(subset=[name])))
    better = best[name] < floor[name] if less else best[name] > floor[name]
    verb = "beats" if better else "does not beat"
    heading = HEADINGS.get(name, name)
    said, other = shown_score(name, best[name]), shown_score(name, floor[name])
    return f"{heading}: {best['name']} ({said}) {verb} {floor['name']} ({other})."


def draw(folder: TaskFolder, path: Path) -> None:
    """A picture of all curves: loss of training over steps, and that of validation as points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    styles = ["-", "--", "-.", ":"]
    for number, (name, points) in enumerate(folder.curves().items()):
        if name == SHAKEN:
            continue
        train = [point for point in points if point.part == "train"]
        steps, losses = [point.step for point in train], _smooth([point.loss for point in train])
        (line,) = axes.plot(steps, losses, styles[number % len(styles)], label=name)
        held = [point for point in points if point.part == "validation"]
        axes.plot([p.step for p in held], [p.loss for p in held], "o", color=line.get_color(), markersize=4)
    axes.set(xlabel="step", ylabel="loss in nats", title="Loss of training, and of validation as points")
    if axes.lines:
        axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _smooth(values: Sequence[float]) -> list[float]:
    return list(pd.Series(values).rolling(_SMOOTHED, min_periods=1).mean())


def print_to(console: Console, folder: TaskFolder) -> None:
    """The same in the terminal."""
    found = over_seeds(table(folder))
    recipe = folder.trainings[0].recipe
    console.print(f"\n[bold]{recipe.task}: {recipe.data}[/bold]")
    console.print(sizes(folder), soft_wrap=True, highlight=False)
    if len(found):
        rows = shown(found, console.width < FULL_WIDTH)
        drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(rows.columns):
            drawn.add_column(name, justify="right" if number else "left")
        for row in rows.itertuples(index=False):
            drawn.add_row(*map(str, row))
        console.print(drawn)
    for line in words(found, folder):
        console.print(line, soft_wrap=True, highlight=False)
