"""The table of tasks in the README and docs/tasks.md, from the runs in results/tasks: `python -m docs.generate.tasks`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from docs.generate.pages import README, RESULTS, ROOT, where, write, written
from harness.report.format import seconds
from harness.tasks.plan import TaskFolder
from harness.tasks.report import BASELINE, ERRORS, HEADINGS, PUBLISHED, shown_score, table

PAGE = ROOT / "docs" / "tasks.md"
RUNS = RESULTS / "tasks"
MAIN = ("accuracy", "bleu_new", "phoneme_errors", "exact")
"""The score that stands for a run: the first of these that it has."""


def folders() -> Iterator[TaskFolder]:
    """The committed runs of tasks."""
    for plan in sorted(RUNS.glob("*/plan.json")):
        yield TaskFolder.open(plan.parent)


def row(folder: TaskFolder) -> dict[str, str]:
    """A run in a line: its best model beside the best without a network, and what others have published."""
    found, recipe = table(folder), folder.trainings[0].recipe
    score = next(name for name in MAIN if name in found)
    models, floors, others = (found[found.status == kind].dropna(subset=[score]) for kind in ("ok", BASELINE, PUBLISHED))
    less = score in ERRORS
    best = models.sort_values(score, ascending=less).iloc[0]
    return {
        "task": f"[{recipe.task}](results/tasks/{folder.path.name}/report.md)",
        "data": recipe.data,
        "layers": str(recipe.layers),
        "score": HEADINGS.get(score, score),
        "model": f"{shown_score(score, best[score])} ({best['name']})",
        "without a network": _best(floors, score, less),
        "published": _best(others, score, less),
        "training": seconds(best.seconds),
    }


def _best(rows: pd.DataFrame, score: str, less: bool) -> str:
    if not len(rows):
        return ""
    best = rows.sort_values(score, ascending=less).iloc[0]
    return f"{shown_score(score, best[score])} ({best['name']})"


def block(prefix: str) -> str:
    """The table, with links from a page that lies where `prefix` leads to the root."""
    rows = [row(folder) for folder in folders()]
    machines = sorted({where(folder.machine()) for folder in folders()})
    shown = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return f"{shown}\n\n({'; '.join(machines)}.)".replace("](results/", f"]({prefix}results/")


def pages() -> dict[Path, str]:
    """The README and the page as they should be."""
    return {README: written(README, {"tasks": block("")}), PAGE: written(PAGE, {"tasks": block("../")})}


if __name__ == "__main__":
    write(pages())
