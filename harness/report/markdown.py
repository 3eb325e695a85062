"""report.md: the winner per problem and by how much; the full table; what was not measured and why; the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.measure.plan import Plan
from harness.operators.attention.problem import Problem
from harness.report.format import HEADINGS, absences, display_rows, size, winner


def report(plan: Plan, table: pd.DataFrame, environment: Mapping[str, Any]) -> str:
    """The whole report as markdown."""
    parts = [
        f"# Attention: {plan.preset}",
        _winners(plan, table),
        "## All measurements",
        _legend(plan),
        *(problem_table(problem, table) for problem in plan.problems),
        _notes(table),
        _absent(table, len(plan.problems)),
        _machine(environment),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def problem_table(problem: Problem, table: pd.DataFrame) -> str:
    """One problem's measurements under a heading, fastest first."""
    rows = display_rows(table[table.problem == problem.name])
    frame = pd.DataFrame(rows, columns=list(HEADINGS))
    alignment = ("left", *["right"] * (len(HEADINGS) - 2), "left")
    work = f"{problem.flops / 1e9:.3g} GFLOP, {size(problem.bytes)} read and written"
    return f"### {problem.name}\n\n{work}\n\n{frame.to_markdown(index=False, colalign=alignment, disable_numparse=True)}"


def _winners(plan: Plan, table: pd.DataFrame) -> str:
    lines = [f"- **{p.name}**: {winner(table[table.problem == p.name])}" for p in plan.problems]
    return "\n".join(["## Fastest", "", *lines])


def _legend(plan: Plan) -> str:
    against = f"Speed-up is against {plan.baseline}, round by round. " if plan.baseline else ""
    return (
        "Every time is of a computation that was first compared with a float64 oracle on the same inputs. "
        f"Time is that of a call, the median over interleaved rounds, ± half of its 95 % interval. {against}"
        "Workspace is memory beyond inputs and output. "
        "Error/bound is the largest error over its derived bound, and at most 1. A star: see the notes."
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


def _machine(environment: Mapping[str, Any]) -> str:
    if not environment:
        return ""
    sets = " ".join(environment.get("instruction_sets", ()))
    virtual = ", virtual machine" if environment.get("virtual_machine") else ""
    lines = [
        "## The machine",
        "",
        f"- {environment.get('processor')} ({sets}), {environment.get('usable_cpus')} usable CPUs, "
        f"{environment.get('threads')} threads used{virtual}",
        f"- {size(environment.get('memory_bytes', 0))} of memory, {environment.get('system')}, "
        f"Python {environment.get('python')}",
        *(f"- GPU: {gpu}" for gpu in environment.get("gpus", ())),
        *(
            f"- {name}: {rate / 1e12:.3g} TFLOP/s in a large matrix product: *of matmul* is of that"
            for name, rate in environment.get("matmul_flops_per_s", {}).items()
        ),
        "- " + ", ".join(f"{name} {version}" for name, version in environment.get("versions", {}).items()),
        f"- {environment.get('date')}, harness at {environment.get('commit', 'an unknown commit')}",
    ]
    return "\n".join(lines)
