"""Tables and pictures of tasks in the README and docs/tasks.md, from results/tasks: `python -m docs.generate.tasks`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from docs.generate.pages import README, RESULTS, ROOT, where, write, written
from harness.report.format import seconds
from harness.tasks.exploring import lengths
from harness.tasks.exploring.folder import ExploreFolder
from harness.tasks.exploring.report import COORDINATES, FRONT, recipes, said
from harness.tasks.plan import TaskFolder
from harness.tasks.report import ERRORS, HEADINGS, PICTURE, shown_score, words
from harness.tasks.summary import BASELINE, DEVIATION, PUBLISHED, over_seeds, table

SAME_CURVE, OVER_LENGTH, EXPLORED = "same-curve", "recall-over-length", "explore-sentiment"

PAGE = ROOT / "docs" / "tasks.md"
RUNS = RESULTS / "tasks"
MAIN = ("accuracy", "bleu_new", "phoneme_errors", "exact")
"""The score that stands for a run: the first of these that it has."""


def folders() -> Iterator[TaskFolder]:
    """The committed runs of tasks."""
    for plan in sorted(RUNS.glob("*/plan.json")):
        if plan.parent.name != SAME_CURVE:
            yield TaskFolder.open(plan.parent)


def row(folder: TaskFolder) -> dict[str, str]:
    """A run in a line: its first model (the best by the test part would be chosen by it), the best without a network, and
    what others have published."""
    found, recipe = over_seeds(table(folder)), folder.trainings[0].recipe
    score = next(name for name in MAIN if name in found)
    models, floors, others = (found[found.status == kind].dropna(subset=[score]) for kind in ("ok", BASELINE, PUBLISHED))
    less = score in ERRORS
    first = models[models.name == folder.trainings[0].name].iloc[0]
    return {
        "task": f"[{recipe.task}](results/tasks/{folder.path.name}/report.md)",
        "data": recipe.data,
        "layers": str(recipe.layers),
        "score": HEADINGS.get(score, score),
        "model": f"{shown_score(score, first[score], first[f'{score}{DEVIATION}'])} ({first['name']})",
        "without a network": _best(floors, score, less),
        "published": _best(others, score, less),
        "training": seconds(first.seconds),
    }


def _best(rows: pd.DataFrame, score: str, less: bool) -> str:
    if not len(rows):
        return ""
    best = rows.sort_values(score, ascending=less).iloc[0]
    return f"{shown_score(score, best[score])} ({best['name']})"


def block() -> str:
    """The table."""
    rows = [row(folder) for folder in folders()]
    machines = sorted({where(folder.machine()) for folder in folders()})
    shown = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return f"{shown}\n\n({'; '.join(machines)}.)"


def same_curve() -> str:
    """The run with a wrong kernel: its picture, and what its report says in words."""
    folder = TaskFolder.open(RUNS / SAME_CURVE)
    said = words(over_seeds(table(folder)), folder)
    link = f"results/tasks/{SAME_CURVE}"
    return "\n".join(
        [f"![Loss over steps]({link}/{PICTURE})", "", f"[The run]({link}/report.md):", "", *(f"- {one}" for one in said)]
    )


def remembering() -> str:
    """The picture of accuracy over length, and what it says."""
    folder = ExploreFolder.open(RUNS / OVER_LENGTH)
    best = recipes(folder, pd.read_csv(folder.path / "results.csv"))
    link = f"results/tasks/{OVER_LENGTH}"
    seeds = f"the mean of {folder.space.seeds} seeds and their standard deviation"
    return (
        f"![Right answers over length]({link}/{lengths.PICTURE})\n\n{said(folder, best)}\n\n"
        f"(Each model at its best of [what was tried]({link}/report.md), by the validation part; {seeds}. "
        f"{where(folder.machine())}.)"
    )


def explored() -> str:
    """A search on real text: what it says, and its pictures."""
    folder = ExploreFolder.open(RUNS / EXPLORED)
    best = recipes(folder, pd.read_csv(folder.path / "results.csv"))
    link = f"results/tasks/{EXPLORED}"
    return (
        f"[A search of heads, width and layers]({link}/report.md) on film reviews: {said(folder, best)}\n\n"
        f"![Accuracy against time]({link}/{FRONT})\n\n![Every training]({link}/{COORDINATES})\n\n"
        f"({where(folder.machine())}.)"
    )


def pages() -> dict[Path, str]:
    """The README and the page as they should be."""
    blocks = {"tasks": block(), "recall": remembering()}
    longer = {**blocks, "same curve": same_curve(), "explored": explored()}
    below = {name: text.replace("](results/", "](../results/") for name, text in longer.items()}
    return {README: written(README, blocks), PAGE: written(PAGE, below)}


if __name__ == "__main__":
    write(pages())
