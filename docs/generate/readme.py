"""The README's tables, from the run in results/quick: `python -m docs.generate.readme`."""

from pathlib import Path

from docs.generate.pages import README, RESULTS, where, write, written
from harness.analysis.table import results
from harness.report.format import winner
from harness.report.markdown import problem_table
from harness.runs.folder import RunFolder

SHOWN = "b1h8q1024k1024d64-f32"
"""The problem whose table the README shows; of the others it names the winner."""


def block() -> str:
    """The part of the README."""
    run = RunFolder.open(RESULTS / "quick").run()
    table = results(run)
    shown = next(problem for problem in run.problems if problem.name == SHOWN)
    winners = [
        f"- {problem.name}: {winner(table[table.problem == problem.name])}"
        for problem in run.problems
        if problem is not shown
    ]
    return "\n\n".join(
        [
            f"One run of the `quick` preset ({where(run.machine)}; [whole report](results/quick/report.md)):",
            problem_table(shown, table).replace("### ", "**").replace(SHOWN, f"{SHOWN}**", 1),
            f"Fastest there: {winner(table[table.problem == SHOWN])}. On the others:",
            "\n".join(winners),
            "![Time and workspace against the length, for every implementation](results/quick/plot.png)",
        ]
    )


def pages() -> dict[Path, str]:
    """The README as it should be."""
    return {README: written(README, {"quick results": block()})}


if __name__ == "__main__":
    write(pages())
