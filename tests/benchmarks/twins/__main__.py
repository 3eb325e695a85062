"""Run the experiment, and write what came of it: `python -m tests.benchmarks.twins RUNS [FOLDER]`.

Ten runs take about half an hour. Nothing else may use the machine.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from harness.analysis.comparison import within_a_run
from harness.runs.folder import RunFolder

HERE = Path(__file__).parent
RESULTS = HERE.parents[2] / "results" / "twins"
PAIRS = (("twin-b", "twin-a"), ("twin-c", "twin-a"), ("twin-c", "twin-b"), ("more-2", "twin-a"), ("more-5", "twin-a"))
THRESHOLD = 0.05


def verdicts(number, folder):
    """A row for each pair and problem of a run."""
    run = RunFolder.open(folder).run()
    for name, other in PAIRS:
        for one in within_a_run(run, name, other, THRESHOLD):
            length = next(problem.fields["q_len"] for problem in run.problems if problem.name == one.problem)
            ratio = one.ratio
            yield number, length, name, other, one.verdict, ratio.median, ratio.low, ratio.high


def main(runs, folder):
    """So many runs; the table of verdicts is written after each."""
    rows = []
    for number in range(runs):
        out = folder / f"run-{number + 1}"
        names = ",".join(sorted({name for pair in PAIRS for name in pair}))
        command = ["run", "--plugin", HERE / "kernels.py", "--impl", names, "--problems", HERE / "problems.toml"]
        subprocess.run(
            [sys.executable, "-m", "harness", *map(str, command), "--out", str(out), "--baseline", "twin-a"], check=True
        )
        rows += verdicts(number + 1, out)
        columns = ["run", "length", "name", "other", "verdict", "ratio", "low", "high"]
        table = pd.DataFrame(rows, columns=columns)
        RESULTS.mkdir(parents=True, exist_ok=True)
        table.to_csv(RESULTS / "verdicts.csv", index=False)
    print(table.groupby(["name", "other", "length"]).verdict.value_counts().unstack(fill_value=0))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/twins"))
