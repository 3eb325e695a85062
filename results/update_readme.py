"""Write the README's tables from the committed runs: `python results/update_readme.py`. A test keeps them equal."""

from pathlib import Path

from harness.analysis.table import results
from harness.report.format import winner
from harness.report.markdown import problem_table
from harness.runs.folder import RunFolder

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SHOWN = "b1h8q1024k1024d64-f32"
"""The problem whose table the README shows; of the others it names the winner."""


def block() -> str:
    """The README's part between its two markers, from results/quick."""
    folder = RunFolder.open(ROOT / "results" / "quick")
    environment = folder.environment()
    table = results(folder.plan, folder.cells(), environment.get("matmul_flops_per_s", {}))
    shown = next(problem for problem in folder.plan.problems if problem.name == SHOWN)
    winners = [
        f"- {problem.name}: {winner(table[table.problem == problem.name])}"
        for problem in folder.plan.problems
        if problem is not shown
    ]
    machine = f"{environment['processor']}, {environment['threads']} threads, {environment['date'][:10]}"
    return "\n\n".join(
        [
            f"One run of the `quick` preset ({machine}; [whole report](results/quick/report.md)):",
            problem_table(shown, table).replace("### ", "**").replace(SHOWN, f"{SHOWN}**", 1),
            f"Fastest there: {winner(table[table.problem == SHOWN])}. On the others:",
            "\n".join(winners),
            "![Time and workspace against the length, for every implementation](results/quick/plot.png)",
        ]
    )


def main() -> None:
    """Replace what stands between the markers."""
    text = README.read_text()
    begin, end = "<!-- quick results -->", "<!-- end of quick results -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    README.write_text(f"{head}{begin}\n{block()}\n{end}{tail}")


if __name__ == "__main__":
    main()
