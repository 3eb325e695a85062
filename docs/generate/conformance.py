"""The tables of docs/conformance.md and docs/multi-head.md, from results/conformance and results/conformance-multi-head; and
from those folders' names with -h100, what `harness check --csv` has found on a GPU.

python -m docs.generate.conformance                          the tables, from the committed measurements
python -m docs.generate.conformance --measure                first measure every implementation that can run here
python -m docs.generate.conformance --measure --operator multi-head   that operator's
python -m docs.generate.conformance --measure --impl NAMES   these only; the others are left out of the tables
"""

import argparse
import csv
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from docs.generate.pages import RESULTS, ROOT, where, write, written
from harness.conformance.probing import LIBRARY
from harness.operators.attention.operator import ATTENTION
from harness.operators.base import Operator
from harness.operators.conventions import NOT_DECLARED
from harness.operators.multi_head.operator import MULTI_HEAD
from harness.plugins.contender import contenders
from harness.plugins.registry import discover
from harness.problem import DTYPES
from harness.records.machine import Machine
from harness.runs.environment import machine


@dataclass(frozen=True)
class Measured:
    """What is kept of an operator's implementations, and the page that shows it."""

    operator: Operator
    page: Path
    folder: Path

    @property
    def conventions(self) -> Path:
        """What `harness conventions` prints."""
        return self.folder / "conventions.json"

    @property
    def margins(self) -> Path:
        """The worst case of each implementation, dtype and direction."""
        return self.folder / "margins.csv"

    @property
    def environment(self) -> Path:
        """The machine."""
        return self.folder / "environment.json"


MEASURED = (
    Measured(ATTENTION, ROOT / "docs" / "conformance.md", RESULTS / "conformance"),
    Measured(MULTI_HEAD, ROOT / "docs" / "multi-head.md", RESULTS / "conformance-multi-head"),
)


def measure(kept: Measured, names: str) -> None:
    """Check and probe the named implementations, and keep what the tables need; minutes."""
    name = kept.operator.name
    registry = discover().of(name)
    found = contenders(registry, registry.select(names), "auto")
    present = ",".join(one.name for one in found if not one.absent)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "cases.csv"
        _harness("check", "--operator", name, "--impl", present, "--quiet", "--csv", str(rows))
        with rows.open(newline="") as file:
            margins = list(worst(csv.DictReader(file)))
    conventions = _harness("conventions", "--operator", name, "--impl", present, "--format", "json", capture=True)
    kept.folder.mkdir(exist_ok=True)
    kept.conventions.write_text(conventions)
    with kept.margins.open("w", newline="") as file:
        writer = csv.DictWriter(file, margins[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(margins)
    absent = {one.name: one.absent for one in found if one.absent}
    here = machine(len(os.sched_getaffinity(0)))
    kept.environment.write_text(json.dumps({**here.to_json(), "absent": absent}, indent=1) + "\n")


def _harness(*arguments: str, capture: bool = False) -> str:
    """Run a command of the harness. Its status is 1 where an implementation fails, which the tables show."""
    command = [sys.executable, "-m", "harness", *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE if capture else None)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def worst(rows: Iterator[dict[str, str]]) -> Iterator[dict[str, object]]:
    """Of the rows of `harness check --csv`, one for each implementation, dtype and direction."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        if row["status"] != "unsupported":
            groups.setdefault((row["implementation"], row["device"], row["dtype"], row["direction"]), []).append(row)
    for (implementation, device, dtype, direction), cases in groups.items():
        passed = [row for row in cases if row["status"] == "ok"]
        nearest = max(passed, key=lambda row: float(row["error_over_bound"]), default=None)
        yield {
            "implementation": implementation,
            "device": device,
            "dtype": dtype,
            "direction": direction,
            "passed": len(passed),
            "failed": len(cases) - len(passed),
            "error_over_bound": f"{float(nearest['error_over_bound']):.4g}" if nearest else "",
            "case": f"{nearest['chapter']}/{nearest['case']}" if nearest else "",
        }


def conventions(kept: Measured) -> str:
    """The part of the page between the markers for conventions."""
    found = json.loads(kept.conventions.read_text())
    questions = kept.operator.conventions.QUESTIONS
    calls = [row for row in found if row["of"] == LIBRARY]
    own = [row for row in found if row["of"] != LIBRARY]
    wrong = [
        f"{row['implementation']} ({question}: {row[question]})"
        for row in own
        for question, right in kept.operator.conventions.CONTRACT.items()
        if row[question] not in (right, NOT_DECLARED)
    ]
    verdict = f"not as the contract has it: {', '.join(wrong)}" if wrong else "as the contract has it"
    table = [[f"`{row['implementation']}`", *(row[question] for question in questions)] for row in calls]
    return "\n\n".join(
        [
            tabulate(table, headers=["call behind", *questions], tablefmt="pipe", disable_numparse=True),
            _paragraph(
                "*refused*: the call raises an error. *mean*, *nan*: what a row with nothing to attend to becomes. "
                f"The {len(own)} implementations probed are {verdict} ({_measured_on(kept)})."
            ),
        ]
    )


def margins(kept: Measured) -> str:
    """The part of the page between the markers for margins."""
    return "\n\n".join(
        [
            _paragraph(
                f"{_measured_on(kept)}. At 0.1 the worst element is ten times as near to the oracle as it must be; at 0 "
                "every bit is the oracle's, which computes in float64. A dash: not supported. Known failures do not count, "
                "and where every shape takes seconds to compile, the cases are the core ones."
            ),
            *_tables(kept),
        ]
    )


def margins_on_gpu(kept: Measured) -> str:
    """The part of the page between the markers for a GPU."""
    versions = Machine.from_json(json.loads(kept.environment.read_text())).versions
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", "jax", "flax", "numba-cuda") if name in versions)
    return "\n\n".join([_paragraph(f"{_measured_on(kept)}; {named}."), *_tables(kept)])


def _tables(kept: Measured) -> Iterator[str]:
    with kept.margins.open(newline="") as file:
        rows = list(csv.DictReader(file))
    yield f"**Output**\n\n{_margins(rows, 'forward')}"
    yield f"**Gradients** (the worst of them)\n\n{_margins(rows, 'backward')}"
    by_reason: dict[str, list[str]] = {}
    for name, reason in json.loads(kept.environment.read_text())["absent"].items():
        by_reason.setdefault(reason.partition(";")[0], []).append(f"`{name}`")
    for reason, names in by_reason.items():
        yield _paragraph(f"Left out: {', '.join(names)} ({reason}).")


def _margins(rows: list[dict[str, str]], direction: str) -> str:
    """A row for each implementation, a column for each dtype."""
    table: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        if row["direction"] == direction:
            table.setdefault(row["implementation"], {})[row["dtype"]] = row
    lines = [
        [f"`{name}`", sum(int(row["passed"]) for row in cells.values()), *(_cell(cells.get(dtype)) for dtype in DTYPES)]
        for name, cells in sorted(table.items())
    ]
    headers = ["implementation", "cases passed", *DTYPES]
    return tabulate(
        lines, headers, tablefmt="pipe", disable_numparse=True, colalign=["left", *["right"] * (len(DTYPES) + 1)]
    )


def _cell(row: dict[str, str] | None) -> str:
    if row is None:
        return "–"
    failed = f"**{row['failed']} failed**" if int(row["failed"]) else ""
    ratio = f"{float(row['error_over_bound']):.2g}" if row["error_over_bound"] else ""
    return f"{ratio} {failed}".strip()


def _paragraph(text: str) -> str:
    return textwrap.fill(text, width=125, break_long_words=False, break_on_hyphens=False)


def _measured_on(kept: Measured) -> str:
    return where(Machine.from_json(json.loads(kept.environment.read_text())))


def pages() -> dict[Path, str]:
    """The page as it should be."""
    found = {}
    for kept in MEASURED:
        on_gpu = dataclasses.replace(kept, folder=kept.folder.with_name(f"{kept.folder.name}-h100"))
        blocks = {"conventions": conventions(kept), "margins": margins(kept), "margins on a GPU": margins_on_gpu(on_gpu)}
        found[kept.page] = written(kept.page, blocks)
    return found


def main() -> None:
    """Measure where asked, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="check and probe the implementations first; minutes")
    names = [kept.operator.name for kept in MEASURED]
    parser.add_argument("--operator", default=names[0], choices=names, help="with --measure: which one's")
    parser.add_argument("--impl", default="all", metavar="NAMES", help="with --measure: names separated by commas (all)")
    options = parser.parse_args()
    if options.measure:
        measure(next(kept for kept in MEASURED if kept.operator.name == options.operator), options.impl)
    write(pages())


if __name__ == "__main__":
    main()
