"""report.md: the winner per problem and by how much; the full table; what was not measured and why; the machine."""

from __future__ import annotations

import pandas as pd

from harness.analysis.ranking import absences
from harness.records.machine import Machine
from harness.records.problem import PosedProblem
from harness.records.run import Run
from harness.report import inside
from harness.report.format import HEADINGS, cold, display_rows, size, winner
from harness.report.growth import growth
from harness.report.limits import limits


def report(run: Run, table: pd.DataFrame) -> str:
    """The whole report as markdown."""
    parts = [
        f"# {_operator(run)}: {run.preset}",
        _winners(run, table),
        "## All measurements",
        _legend(run),
        *(problem_table(problem, table) for problem in run.problems),
        growth(run, table),
        _notes(table),
        _absent(table, len(run.problems)),
        _machine(run.machine),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _operator(run: Run) -> str:
    return run.problems[0].operator.replace("-", " ").capitalize()


def problem_table(problem: PosedProblem, table: pd.DataFrame) -> str:
    """One problem's measurements under a heading, fastest first."""
    measured = table[table.problem == problem.name]
    rows = display_rows(measured)
    frame = pd.DataFrame(rows, columns=list(HEADINGS))
    alignment = ("left", *["right"] * (len(HEADINGS) - 2), "left")
    work = f"{problem.flops / 1e9:.3g} GFLOP, {size(problem.bytes)} read and written{cold(measured)}"
    table_text = frame.to_markdown(index=False, colalign=alignment, disable_numparse=True)
    return "\n\n".join(
        [f"### {problem.name}", work, table_text, *(_inside(measured) if problem.operator == "model" else ())]
    )


def _inside(measured: pd.DataFrame) -> list[str]:
    frame = pd.DataFrame(inside.inside_rows(measured), columns=list(inside.HEADINGS))
    alignment = ("left", *["right"] * (len(inside.HEADINGS) - 2), "left")
    return [] if frame.empty else [frame.to_markdown(index=False, colalign=alignment, disable_numparse=True)]


def _winners(run: Run, table: pd.DataFrame) -> str:
    lines = [f"- **{p.name}**: {winner(table[table.problem == p.name])}" for p in run.problems]
    return "\n".join(["## Fastest", "", *lines])


def _legend(run: Run) -> str:
    against = f"Speed-up is against {run.baseline}. " if run.baseline else ""
    return (
        "Every time is of a computation that was first compared with a float64 oracle on the same inputs. "
        f"Time is that of a call, over the interleaved rounds of several processes, ± half of its 95 % interval. {against}"
        "Of limit is how near that comes to what the processor can do, in arithmetic or in reading bytes. "
        "Workspace is memory beyond inputs and output. "
        "Error/bound is the largest error over its derived bound, and at most 1. A word behind a row: see the notes."
    )


def _notes(table: pd.DataFrame) -> str:
    noted = table[table.warnings != ""]
    if noted.empty:
        return ""
    groups = noted.groupby(["implementation", "warnings"], sort=False)["problem"].agg(list)
    lines = [f"- {name} on {', '.join(problems)}: {warning}" for (name, warning), problems in groups.items()]
    return "\n".join(["### Notes", "", *lines])


def _absent(table: pd.DataFrame, problems: int) -> str:
    lines = []
    for name, status, reason, where in absences(table):
        scope = "" if len(where) == problems else f" on {', '.join(where)}"
        lines.append(f"- {name}{scope}: **{status}**: {reason}")
    return "\n".join(["## Not measured, and why", "", *(lines or ["Everything was measured."])])


def _machine(machine: Machine) -> str:
    if machine == Machine():
        return ""
    virtual = ", virtual machine" if machine.virtual_machine else ""
    lines = [
        "## The machine",
        "",
        f"- {machine.processor} ({' '.join(machine.instruction_sets)}), {machine.usable_cpus} usable CPUs, "
        f"{machine.threads} threads used{virtual}",
        f"- {size(machine.memory_bytes)} of memory, {machine.system}, Python {machine.python}",
        *(f"- GPU: {gpu}" for gpu in machine.gpus),
        *(
            f"- {name}: {rate / 1e12:.3g} TFLOP/s in a large matrix product"
            for name, rate in machine.matmul_flops_per_s.items()
            if machine.limits is None or not name.startswith("cpu ")
        ),
        *(limits(machine.limits) if machine.limits else ()),
        "- " + ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        f"- {machine.date}, harness at {machine.commit or 'an unknown commit'}",
    ]
    return "\n".join(lines)
