"""What is measured of the Numba kernels, in the README, docs/kernels.md and docs/multi-head.md.

`python -m docs.generate.kernels` writes it. The times to read are those of the code.
"""

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from docs.generate.pages import README, RESULTS, ROOT, where, write, written
from harness.analysis.estimates import Estimates, Ratio
from harness.analysis.table import estimates
from harness.records.problem import PosedProblem
from harness.report.format import seconds
from harness.runs.folder import RunFolder

PAGE, LAYER_PAGE = ROOT / "docs" / "kernels.md", ROOT / "docs" / "multi-head.md"
RUNS = ("kernels-float32", "kernels-bfloat16", "kernels-backward-float32", "kernels-backward-bfloat16")
LAYER_RUN = "layer-kernels"
OURS, OUR_LAYER = "numba-flash", "numba"
STEPS = ("naive", "numba-naive", "numba-parallel", "numpy", "numpy-online", "numba-tiled", OURS)
KERNELS = ROOT / "impls" / "attention"
READING = (
    ("naive", "naive", "the three steps, as loops over numbers"),
    ("numba-naive, numba-parallel", "numba_loops", "the same loops, compiled; then on every core"),
    ("numpy", "numpy_formula", "the loops become matrix products of a library, and a score matrix of Lq·Lk appears"),
    ("numpy-online", "numpy_online", "the softmax is carried along from block to block, and the score matrix disappears"),
    ("numba-tiled", "numba_tiled", "compiled loops over tiles of queries and keys, with that softmax, forward and backward"),
    (OURS, "numba_flash", "the products of a tile become micro-kernels on vectors"),
    ("", "numba_flash/runtime", "the processor, compiling, addresses, calls and threads"),
    ("", "numba_flash/simd", "vectors, and the micro-kernels made of them"),
    ("", "numba_flash/layout", "sizes of tiles; operands in memory, packed into vectors"),
    ("", "numba_flash/scores", "softcap, bias, masks and softmax of a tile"),
    ("", "numba_flash/passes", "forward, backward and decoding"),
)
"""The implementations from the formula to the fused kernel, their modules, and what each changes."""
LINES_A_MINUTE = 20


def markdown_table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A table with its first column to the left and the others to the right."""
    alignment = ("left", *["right"] * (len(head) - 1))
    return pd.DataFrame(rows, columns=list(head)).to_markdown(index=False, colalign=alignment, disable_numparse=True)


class Match(NamedTuple):
    """Ours and the fastest other implementation on one problem; the ratio is that of their times, round by round."""

    problem: PosedProblem
    ours_s: float
    other: str
    ratio: Ratio


def measured(run: str) -> list[tuple[PosedProblem, Estimates]]:
    """What a committed run says of each problem."""
    stored = RunFolder.open(RESULTS / run).run()
    found = estimates(stored.cells)
    return [(problem, found[problem.name]) for problem in stored.problems]


def match(problem: PosedProblem, found: Estimates, name: str = OURS) -> Match:
    """Ours, of that name, against the fastest of the others."""
    other = min((other for other in found if other != name), key=lambda other: found.time(other).median_s)
    return Match(problem, found.time(name).median_s, other, found.ratio(other, name) or Ratio(math.nan, math.nan, math.nan))


def kind_of_work(problem: PosedProblem) -> str:
    """What kind of work a problem stands for."""
    fields = problem.fields
    if fields["direction"] == "backward":
        kind = "backward"
    elif fields["q_len"] == 1:
        kind = "one query against a cache"
    elif fields["batch"] > 1:
        kind = "many small"
    else:
        hidden = ", causal" if fields["causal"] else ", mask or bias" if fields["mask"] or fields["bias"] else ""
        kind = f"forward{hidden}"
    return f"{problem.dtype} {kind}"


def summary() -> str:
    """The README's table: for each kind of work the least ratio and the geometric mean."""
    kinds: dict[str, list[Match]] = {}
    for run in RUNS:
        for problem, found in measured(run):
            kinds.setdefault(kind_of_work(problem), []).append(match(problem, found))
    rows = []
    for name, matches in kinds.items():
        least = min(matches, key=lambda one: one.ratio.median)
        mean = math.exp(sum(math.log(one.ratio.median) for one in matches) / len(matches))
        rows.append([name, str(len(matches)), f"{least.ratio.median:.2f} ({least.other})", f"{mean:.2f}"])
    head = ("time of the fastest other / time of numba-flash", "problems", "least", "geometric mean")
    return markdown_table(head, rows)


def matches(run: str, name: str = OURS) -> str:
    """A page's table of a run: every problem."""
    machine = where(RunFolder.open(RESULTS / run).machine())
    rows = [
        [
            one.problem.name,
            seconds(one.ours_s),
            one.other,
            f"{one.ratio.median:.2f}",
            f"{one.ratio.low:.2f} to {one.ratio.high:.2f}",
        ]
        for one in (match(*each, name) for each in measured(run))
    ]
    head = ("problem", name, "fastest other", "its time / ours", "95 %")
    return f"`results/{run}` ({machine}; [whole report](../results/{run}/report.md)):\n\n{markdown_table(head, rows)}"


def steps() -> str:
    """The page's table of the road: each step's time on the problems of results/quick."""
    quick = measured("quick")
    rows = [
        [f"`{step}`", *(seconds(found.time(step).median_s) if step in found else "" for _, found in quick)]
        for step in STEPS
        if any(step in found for _, found in quick)
    ]
    return markdown_table(("step", *(problem.name for problem, _ in quick)), rows)


def minutes(module: str) -> str:
    """The time to read a module of `impls/attention` with care, rounded up to five minutes; nothing if it is not there."""
    files = [KERNELS / f"{module}.py", *(KERNELS / module).rglob("*.py")]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files if file.exists())
    return str(math.ceil(lines / LINES_A_MINUTE / 5) * 5) if lines else ""


def reading() -> str:
    """The page's table of the reading order."""
    rows = []
    for names, module, change in READING:
        step = ", ".join(f"`{name}`" for name in names.split(", ")) if names else ""
        place = f"{module}/" if (KERNELS / module).is_dir() else f"{module}.py"
        rows.append([step, f"`impls/attention/{place}`", minutes(module), change])
    table = pd.DataFrame(rows, columns=["step", "code", "minutes", "what changes"])
    return table.to_markdown(index=False, colalign=("left", "left", "right", "left"), disable_numparse=True)


def pages() -> dict[Path, str]:
    """The README and the page as they should be."""
    page = written(PAGE, {"reading": reading(), "steps": steps(), "matches": "\n\n".join(map(matches, RUNS))})
    layer = written(LAYER_PAGE, {"matches": matches(LAYER_RUN, OUR_LAYER)})
    return {README: written(README, {"kernel results": summary()}), PAGE: page, LAYER_PAGE: layer}


if __name__ == "__main__":
    write(pages())
