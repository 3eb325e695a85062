"""The README's tables, from the runs in results/quick and results/layer-quick: `python -m docs.generate.readme`."""

from pathlib import Path

from docs.generate.pages import README, RESULTS, where, write, written
from harness.analysis.table import results
from harness.report.format import winner
from harness.report.markdown import problem_table
from harness.runs.folder import RunFolder

SHOWN = {"quick": "b1h8q1024k1024d64-f32", "layer-quick": "b8h12q128d64w768-f32-biases-padding"}
"""The problem of each run whose table the README shows; of the others it names the winner."""

COMMANDS = {"quick": "`quick` preset", "layer-quick": "`quick` preset of `--operator multi-head`"}


def block(name: str) -> str:
    """The part of the README that shows a run."""
    run = RunFolder.open(RESULTS / name).run()
    table = results(run)
    shown = next(problem for problem in run.problems if problem.name == SHOWN[name])
    winners = [
        f"- {problem.name}: {winner(table[table.problem == problem.name])}"
        for problem in run.problems
        if problem is not shown
    ]
    return "\n\n".join(
        [
            f"One run of the {COMMANDS[name]} ({where(run.machine)}; [whole report](results/{name}/report.md)):",
            problem_table(shown, table).replace("### ", "**").replace(shown.name, f"{shown.name}**", 1),
            f"Fastest there: {winner(table[table.problem == shown.name])}. On the others:",
            "\n".join(winners),
        ]
    )


def pages() -> dict[Path, str]:
    """The README as it should be."""
    return {README: written(README, {f"{name.replace('-', ' ')} results": block(name) for name in SHOWN})}


if __name__ == "__main__":
    write(pages())
