"""Run the experiment, and write what came of it: `python -m tests.benchmarks.twins RUNS [FOLDER]`.

Ten runs take about 40 minutes. Nothing else may use the machine.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from harness.analysis.comparison import within_a_run
from harness.runs.folder import RunFolder

HERE = Path(__file__).parent
RESULTS = HERE.parents[2] / "results" / "twins"
PAIRS = (("twin-b", "twin-a"), ("twin-c", "twin-a"), ("twin-c", "twin-b"), ("more-2", "twin-a"), ("more-5", "twin-a"))
THRESHOLD = 0.05


def verdicts(number, run):
    """A row for each pair and problem of a run."""
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
        plugin, problems = (os.path.relpath(HERE / name) for name in ("kernels.py", "problems.toml"))
        command = ["run", "--plugin", plugin, "--impl", names, "--problems", problems]
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "harness", *map(str, command), "--out", str(out), "--baseline", "twin-a"], check=True
        )
        run = RunFolder.open(out).run()
        pair_s = 2 * (time.monotonic() - start) / len(run.cells)
        rows += [(*row, round(pair_s, 1)) for row in verdicts(number + 1, run)]
        columns = ["run", "length", "name", "other", "verdict", "ratio", "low", "high", "pair_s"]
        table = pd.DataFrame(rows, columns=columns)
        RESULTS.mkdir(parents=True, exist_ok=True)
        table.to_csv(RESULTS / "verdicts.csv", index=False)
        shutil.copy(out / "environment.json", RESULTS)
    print(table.groupby(["name", "other", "length"]).verdict.value_counts().unstack(fill_value=0))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/twins"))
