"""Time the same kernels by three timers in turn: `python -m tests.benchmarks.agreement TIMES [FOLDER]`.

Each turn is a process or more of its own: the harness's `run` with its processes, pyperf with three, pytest-benchmark with
the one that it has. Nothing else may use the machine.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd

from harness.frameworks import adapter
from harness.plugins.registry import discover
from tests.benchmarks.agreement.kernels import LENGTHS, NAMES

HERE = Path(__file__).parent
RESULTS = HERE.parents[2] / "results" / "agreement"
THREADS = len(os.sched_getaffinity(0))

PROBLEM = """
[one]
effort = {{ processes = 3, min_processes = 3, limits = false }}
[[one.problems]]
heads = 8
length = {length}
head_dim = 64
"""


def environment(name, length):
    """What the harness gives this kernel's process; and where pyperf's workers, started by a path, find this."""
    framework = discover().of("attention").implementations[name].framework
    own = {"KERNEL": f"{name}:{length}:{THREADS}", "PYTHONPATH": str(HERE.parents[2])}
    return {**os.environ, **own, **adapter(framework).environment("cpu", THREADS)}


def run(*command, name="", length=0):
    """Run it in that environment."""
    command = [sys.executable, *map(str, command)]
    subprocess.run(command, check=True, env=environment(name, length), stdout=subprocess.DEVNULL)


def harness(name, length, folder):
    problems = folder / "one.toml"
    problems.write_text(PROBLEM.format(length=length))
    command = ["run", "--impl", name, "--problems", os.path.relpath(problems), "--out", os.path.relpath(folder / "run")]
    run("-m", "harness", *command, name=name, length=length)
    return pd.read_csv(folder / "run" / "results.csv").median_s[0]


def pyperf(name, length, folder):
    out = folder / "pyperf.json"
    run("-m", "tests.benchmarks.agreement.by_pyperf", "-o", out, "--inherit-environ", ",".join(environment(name, length)),
        name=name, length=length)  # fmt: skip
    runs = json.loads(out.read_text())["benchmarks"][0]["runs"]
    return statistics.median(value for one in runs for value in one.get("values", ()))


def pytest_benchmark(name, length, folder):
    out = folder / "benchmark.json"
    run("-m", "pytest", "-c", os.devnull, "--rootdir", HERE, "-p", "no:xdist", "-p", "no:cacheprovider",
        f"--benchmark-json={out}", HERE / "by_pytest_benchmark.py", name=name, length=length)  # fmt: skip
    return json.loads(out.read_text())["benchmarks"][0]["stats"]["median"]


def main(times, folder):
    """So many times each; a row for each kernel and timer."""
    rows, timers = [], [harness, pyperf, pytest_benchmark]
    for number in range(times):
        for name in NAMES:
            for length in LENGTHS:
                random.shuffle(timers)
                for timer in timers:
                    place = folder / f"{number}-{name}-{length}-{timer.__name__}"
                    place.mkdir(parents=True)
                    rows.append((number, name, length, timer.__name__, timer(name, length, place)))
    table = pd.DataFrame(rows, columns=["time", "implementation", "length", "timer", "median_s"])
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / "times.csv", index=False)
    shutil.copy(place.parent / f"{number}-{name}-{length}-harness" / "run" / "environment.json", RESULTS)
    print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/agreement"))
