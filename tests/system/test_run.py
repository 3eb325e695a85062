"""Whole runs: the files, the numbers that must agree, interruption and resumption."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from harness.analysis.table import columns
from harness.problem import Problem
from tests.system.conftest import PATIENCE_S, ROOT, TINY_PROBLEMS


def test_a_run_from_one_line(harness):
    done = harness("run", "--impl", "numpy,numpy-online", "--preset", "smoke")
    assert done.returncode == 0, done.stderr
    (folder,) = (harness.folder / "runs").iterdir()
    table = pd.read_csv(folder / "results.csv")
    assert list(table.columns) == columns(Problem(q_len=1, head_dim=1).posed("attention"))
    assert (table.status == "ok").all()
    assert len(table) == 4
    assert (table.ci_low_s <= table.median_s).all()
    assert (table.median_s <= table.ci_high_s).all()
    assert (table.error_over_bound <= 1).all()
    samples = pd.read_csv(folder / "samples.csv")
    assert samples.groupby(["implementation", "problem"]).size().to_dict() == {
        (row.implementation, row.problem): row.samples for row in table.itertuples()
    }
    baseline = table[table.implementation == "numpy"]
    assert (baseline.speedup_vs_baseline == 1).all()
    assert str(folder.relative_to(harness.folder)) in done.stdout


def test_the_report_answers_in_order(harness, tiny):
    harness("run", "--impl", "numpy,jax-nn-cudnn", "--problems", tiny, "--out", "out")
    text = (harness.folder / "out/report.md").read_text()
    headings = ["## Fastest", "## All measurements", "## Not measured, and why", "## The machine"]
    positions = [text.index(heading) for heading in headings]
    assert positions == sorted(positions)
    assert "jax-nn-cudnn: **unavailable**: " in text


def test_report_repeats_the_tables_of_a_stored_run(harness, tiny):
    harness("run", "--impl", "numpy", "--problems", tiny, "--out", "out")
    assert harness("report", "out", "--format", "md").stdout == (harness.folder / "out/report.md").read_text()
    assert harness("report", "out", "--format", "csv").stdout == (harness.folder / "out/results.csv").read_text()
    assert "fastest: numpy" in harness("report", "out").stdout


def test_dtype_direction_and_threads_reach_the_workers(harness, tiny):
    done = harness(
        "run", "--impl", "numpy", "--problems", tiny, "--dtype", "float64", "--direction", "backward", "--threads", "1",
        "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = harness.results("out").iloc[0]
    assert (row["dtype"], row.direction, row.threads) == ("float64", "backward", 1)
    assert row.problem == "b1h1q16k16d8-f64-backward"
    assert row.flops == 10 * 16 * 16 * 8


def test_a_plugin_is_listed_checked_and_measured(harness, tiny):
    plugin = harness.write(
        "mine.py",
        """
import numpy as np
from harness.registry import Supports, implementation

@implementation("mine", framework="numpy", supports=Supports(dtypes=("float32",)))
def mine(problem):
    \"\"\"A kernel of my own.\"\"\"
    def attention(q, k, v):
        s = (problem.scale * q) @ k.swapaxes(-1, -2)
        p = np.exp(s - s.max(-1, keepdims=True, initial=-np.inf))
        return p / p.sum(-1, keepdims=True) @ v
    return attention
""",
    )
    listed = json.loads(harness("list", "--json", "--plugin", plugin).stdout)
    assert {"cpu": None} in [entry["devices"] for entry in listed if entry["name"] == "mine"]
    checked = harness("check", "--impl", "mine", "--plugin", plugin)
    assert checked.returncode == 0, checked.stdout
    assert "error" in checked.stdout and "bound" in checked.stdout
    assert harness("run", "--impl", "mine,numpy", "--plugin", plugin, "--problems", tiny, "--out", "out").returncode == 0
    assert set(harness.results("out").status) == {"ok"}


def test_list_imports_no_framework(harness):
    code = (
        "import sys; from harness.cli import main; main(['list']); "
        "heavy = {'torch', 'jax', 'tensorflow', 'keras', 'onnxruntime', 'openvino', 'numba', 'pandas'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=harness.environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


WAITING_PLUGIN = """
import os, time
import numpy as np
from harness.registry import Supports, implementation

def formula(problem):
    def attention(q, k, v):
        s = (problem.scale * q) @ k.swapaxes(-1, -2)
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v
    return attention

@implementation("steady")
def steady(problem):
    return formula(problem)

@implementation("waits")
def waits(problem):
    while problem.q_len > 16 and not os.path.exists({gate!r}):
        time.sleep(0.02)
    return formula(problem)
"""


@pytest.fixture
def stuck_run(harness):
    """A run that has finished its first problem and waits at its second, until the gate is opened."""
    gate = harness.folder / "gate"
    plugin = harness.write("waiting.py", WAITING_PLUGIN.format(gate=str(gate)))
    problems = harness.write("two.toml", TINY_PROBLEMS.replace("length = 16", "length = [16, 24]"))
    process = harness.start(
        "run", "--impl", "steady,waits", "--plugin", plugin, "--problems", problems, "--baseline", "steady",
        "--out", "out",
    )  # fmt: skip
    journal = harness.folder / "out/journal.jsonl"
    deadline = time.monotonic() + PATIENCE_S
    while not (journal.exists() and journal.read_text().count('"cell": {') == 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield harness, process, gate
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.communicate()


def children(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
    return []


def alive(pid):
    """Whether a process runs; one that has ended and was not yet collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
def test_a_stopped_run_leaves_no_worker_and_goes_on_where_it_was(stuck_run, how):
    harness, process, gate = stuck_run
    workers = children(process.pid)
    assert workers
    os.kill(process.pid, how)
    out, err = process.communicate(timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "Traceback" not in err
    if how != signal.SIGKILL:
        assert process.returncode == 130 if how == signal.SIGINT else 143
        assert "--resume out" in out

    before = (harness.folder / "out/journal.jsonl").read_text()
    gate.touch()
    done = harness("run", "--resume", "out")
    assert done.returncode == 0, done.stderr
    assert (harness.folder / "out/journal.jsonl").read_text().startswith(before)
    table = harness.results("out")
    assert len(table) == 4
    assert set(table.status) == {"ok"}
    assert table.workspace_bytes.notna().all()
    assert len(json.loads((harness.folder / "out/environment.json").read_text())["resumed"]) == 1


STOPPED_AT_THE_TABLES = """
import os, signal, sys
from harness.cli import main
from harness.commands import run

write = run._write_tables

def stopped(folder):
    run._write_tables = write
    os.kill(os.getpid(), signal.SIGTERM)
    return write(folder)

run._write_tables = stopped
sys.exit(main(["run", "--resume", "out"]))
"""


def test_a_run_that_is_stopped_when_it_writes_its_tables_has_them_and_says_how_to_go_on(harness, tiny):
    harness("run", "--impl", "numpy", "--problems", tiny, "--out", "out")
    (harness.folder / "out/results.csv").unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STOPPED_AT_THE_TABLES]
    done = subprocess.run(command, cwd=harness.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM and "run --resume out" in done.stdout and "Traceback" not in done.stderr
    assert set(pd.read_csv(harness.folder / "out/results.csv").status) == {"ok"}


def test_a_run_is_not_gone_on_with_by_other_versions(harness, tiny):
    harness("run", "--impl", "numpy", "--problems", tiny, "--out", "out")
    path = harness.folder / "out/environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "python": "2.7"}))
    done = harness("run", "--resume", "out")
    assert done.returncode == 2 and "begun elsewhere" in done.stderr and "Python 2.7 then, and 3." in done.stderr
    assert done.stderr.count("\n") == 1 and "To go on" not in done.stdout


def test_a_half_written_line_is_measured_again(harness, tiny):
    harness("run", "--impl", "numpy", "--problems", tiny, "--out", "out")
    journal = harness.folder / "out/journal.jsonl"
    machine, cell, *_ = journal.read_text().splitlines(keepends=True)
    journal.write_text(machine + cell[:100])
    done = harness("run", "--resume", "out")
    assert done.returncode == 0, done.stderr
    assert harness.results("out").status.tolist() == ["ok"]


def test_a_run_does_not_mind_that_its_reader_has_left(harness, tiny):
    process = harness.start("run", "--impl", "numpy", "--problems", tiny, "--out", "out")
    process.stdout.close()
    process.wait(timeout=PATIENCE_S)
    assert harness.results("out").status.tolist() == ["ok"]
    assert harness.results("out").workspace_bytes.notna().all()


HEAVY_PLUGIN = """
import numpy as np
from harness.registry import implementation

def heavy(problem):
    ballast = np.ones(150 * 2**17)
    def attention(q, k, v):
        s = (problem.scale * q) @ k.swapaxes(-1, -2)
        p = np.exp(s - s.max(-1, keepdims=True)) * ballast[0].astype(q.dtype)
        return p / p.sum(-1, keepdims=True) @ v
    return attention

a, b, c = (implementation(f"heavy-{name}")(heavy) for name in "abc")
"""


def test_what_does_not_fit_together_is_measured_in_blocks_with_the_baseline(harness, tiny):
    """Four workers, three of them of 150 MiB and more, in half a GiB."""
    plugin = harness.write("heavy.py", HEAVY_PLUGIN)
    names = "numpy,heavy-a,heavy-b,heavy-c"
    done = harness("run", "--impl", names, "--plugin", plugin, "--problems", tiny, "--memory", "0.5", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = harness.results("out")
    assert set(table.status) == {"ok"}
    assert table.warnings.str.contains("measured in block").all()
    assert len(set(table.warnings.str.extract(r"block (\d)")[0])) > 1
    assert table.speedup_vs_baseline.notna().all()
    samples = pd.read_csv(harness.folder / "out/samples.csv")
    rounds = samples.groupby("implementation")["round"].agg(set)
    assert all(rounds[name] <= rounds["numpy"] for name in names.split(","))


def test_files_are_utf8_and_the_terminal_may_be_anything(harness):
    harness.write("tiny.toml", TINY_PROBLEMS)
    environment = {
        **harness.environment,
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "--impl", "numpy", "--problems", "tiny.toml", "--out", "out"],
        cwd=harness.folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "?95 %" in done.stdout
    assert "±95 %" in (harness.folder / "out/report.md").read_text(encoding="utf-8")


SEVERAL_PROCESSES = TINY_PROBLEMS.replace("processes = 1", "processes = 3\nmin_processes = 2\nprecision = 1e-9")


def test_several_processes_measure_a_cell_together_and_a_resumed_run_goes_on_with_others(harness):
    problems = harness.write("several.toml", SEVERAL_PROCESSES)
    done = harness("run", "--impl", "numpy,numpy-online", "--problems", problems, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert set(harness.results("out").processes) == {3} and set(harness.results("out").stopped) == {"processes: all 3"}
    whole = pd.read_csv(harness.folder / "out/samples.csv")
    together = whole.groupby("process").implementation.agg(set)
    assert together.tolist() == [{"numpy", "numpy-online"}] * 3
    # Cut where the second process of one of the two had not been written down.
    journal = harness.folder / "out/journal.jsonl"
    lines = [line for line in journal.read_text().splitlines() if '"memory": {"impl' not in line]
    assert sum('"cell": {' in line for line in lines) == 6
    journal.write_text("\n".join(lines[:-3]) + "\n")
    kept = json.loads(lines[-4])["cell"]
    assert harness("run", "--resume", "out").returncode == 0
    samples = pd.read_csv(harness.folder / "out/samples.csv")
    processes = {name: set(own.process) for name, own in samples.groupby("implementation")}
    # The baseline takes part as long as anybody does; processes of one number were alive together.
    assert processes == {"numpy": {0, 1, 2, 3}, "numpy-online": {0, 2, 3}}
    first = samples[samples.implementation == kept["implementation"]].sample_s.tolist()
    taken = [sample for turn in kept["timing"]["turns"] for sample in turn["samples_s"]]
    assert first[: len(taken)] == taken, "what was measured before is measured no more"


def test_the_order_of_the_implementations_does_not_decide_that_of_their_turns(harness):
    problems = harness.write("several.toml", SEVERAL_PROCESSES.replace("rounds = 2", "rounds = 12"))
    harness("run", "--impl", "numpy,numpy-online", "--problems", problems, "--out", "out")
    turns = pd.read_csv(harness.folder / "out/samples.csv").drop_duplicates(["implementation", "process", "round"])
    assert set(turns[turns.implementation == "numpy"].order) == {0, 1}
    assert (turns.groupby(["process", "round"]).turn_start_s.nunique() == 2).all()
