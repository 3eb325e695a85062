"""Write what is measured of numba-flash into the README and docs/kernels.md: `python results/update_kernels.py`.

A test keeps both equal to the committed runs.
"""

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from harness.analysis import statistics
from harness.problem import Problem
from harness.record import Cell
from harness.report.format import seconds
from harness.store import RunFolder

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "kernels.md"
RUNS = ("kernels-float32", "kernels-bfloat16", "kernels-backward-float32", "kernels-backward-bfloat16")
OURS = "numba-flash"
STEPS = ("naive", "numpy", "numpy-online", "numba-naive", "numba-parallel", "numba-tiled", OURS)


def markdown_table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table with its first column to the left and the others to the right."""
    alignment = ("left", *["right"] * (len(head) - 1))
    return pd.DataFrame(rows, columns=list(head)).to_markdown(index=False, colalign=alignment, disable_numparse=True)


class Match(NamedTuple):
    """numba-flash and the fastest other implementation on one problem; the ratio is that of their times, round by round."""

    problem: Problem
    ours_s: float
    other: str
    ratio: statistics.Ratio


def cells(run: str) -> list[tuple[Problem, dict[str, Cell]]]:
    """The timed cells of a committed run, by problem and implementation."""
    folder = RunFolder.open(ROOT / "results" / run)
    timed = [cell for cell in folder.cells() if cell.timing]
    return [(p, {cell.implementation: cell for cell in timed if cell.problem == p.name}) for p in folder.plan.problems]


def median_s(cell: Cell) -> float:
    """A cell's time in seconds."""
    return statistics.interval(cell.timing).median_s


def match(problem: Problem, timed: dict[str, Cell]) -> Match:
    """numba-flash against the fastest of the others."""
    ours = timed[OURS]
    others = {name: cell for name, cell in timed.items() if name != OURS}
    other = min(others, key=lambda name: _ratio(others[name], ours).median)
    return Match(problem, median_s(ours), other, _ratio(others[other], ours))


def _ratio(other: Cell, ours: Cell) -> statistics.Ratio:
    """Of two cells' times; without an interval where they have no two rounds in common."""
    times = median_s(other) / median_s(ours)
    return statistics.ratio(other.timing, ours.timing) or statistics.Ratio(times, math.nan, math.nan)


def family(problem: Problem) -> str:
    """What kind of work a problem stands for."""
    if problem.direction == "backward":
        kind = "backward"
    elif problem.q_len == 1:
        kind = "one query against a cache"
    elif problem.batch > 1:
        kind = "many small"
    else:
        kind = "forward" + (", causal" if problem.causal else ", mask or bias" if problem.mask or problem.bias else "")
    return f"{problem.dtype} {kind}"


def summary() -> str:
    """The README's table: for each kind of work the least ratio and the geometric mean."""
    families: dict[str, list[Match]] = {}
    for run in RUNS:
        for problem, timed in cells(run):
            families.setdefault(family(problem), []).append(match(problem, timed))
    rows = []
    for name, matches in families.items():
        least = min(matches, key=lambda one: one.ratio.median)
        mean = math.exp(sum(math.log(one.ratio.median) for one in matches) / len(matches))
        rows.append([name, str(len(matches)), f"{least.ratio.median:.2f} ({least.other})", f"{mean:.2f}"])
    head = ("time of the fastest other / time of numba-flash", "problems", "least", "geometric mean")
    return markdown_table(head, rows)


def page_tables() -> str:
    """The page's tables: every problem of every run."""
    parts = []
    for run in RUNS:
        environment = RunFolder.open(ROOT / "results" / run).environment()
        machine = f"{environment['processor']}, {environment['threads']} threads, {environment['date'][:10]}"
        rows = [
            [
                one.problem.name,
                seconds(one.ours_s),
                one.other,
                f"{one.ratio.median:.2f}",
                f"{one.ratio.low:.2f} to {one.ratio.high:.2f}",
            ]
            for one in (match(*each) for each in cells(run))
        ]
        head = ("problem", OURS, "fastest other", "its time / ours", "95 %")
        parts.append(
            f"`results/{run}` ({machine}; [whole report](../results/{run}/report.md)):\n\n{markdown_table(head, rows)}"
        )
    return "\n\n".join(parts)


def steps() -> str:
    """The page's table of the road: each step's time on the problems of results/quick."""
    measured = cells("quick")
    rows = [
        [f"`{step}`", *(seconds(median_s(timed[step])) if step in timed else "" for _, timed in measured)]
        for step in STEPS
        if any(step in timed for _, timed in measured)
    ]
    return markdown_table(("step", *(problem.name for problem, _ in measured)), rows)


def replaced(text: str, name: str, block: str) -> str:
    """The text with a block between its two markers."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n{block}\n{end}{tail}"


def pages() -> dict[Path, str]:
    """The README and the page as they should be."""
    page = replaced(replaced(PAGE.read_text(), "steps", steps()), "matches", page_tables())
    return {README: replaced(README.read_text(), "kernel results", summary()), PAGE: page}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
