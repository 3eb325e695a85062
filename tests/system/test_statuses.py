"""Every status, provoked by a small plug-in; the run goes on to its end and reports each."""

import json

import pytest

from tests.system.conftest import PLUGINS, TINY_PROBLEMS

pytestmark = pytest.mark.xdist_group("statuses")  # One process of pytest-xdist makes what the tests share.

STATUSES = {
    "right": ("ok", ""),
    "wrong-answer": ("incorrect", "from the oracle, bound"),
    "wrong-shape": ("incorrect", "has the shape (1, 16, 8), and should have (1, 1, 16, 8)"),
    "not-a-number": ("incorrect", "o[0, 0, 15, 7] is not a number"),
    "writes-its-input": ("incorrect", "the input q was written to"),
    "wrong-later": ("incorrect", "correct at first, but not while it was timed"),
    "wrong-while-timed": ("incorrect", "correct at first, but not while it was timed"),
    "raises": ("error", "this kernel has no soul"),
    "raises-when-built": ("error", "a tile of zero rows"),
    "endless": ("timeout", "no answer within 6 s"),
    "memory-hog": ("out-of-memory", ""),
    "aborts": ("crashed", "SIGABRT"),
    "exits": ("crashed", "exit code 7"),
    "no-such-dtype": ("unsupported", "no float32"),
    "no-such-machine": ("unavailable", "needs a quantum computer"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run over all of them."""
    from tests.system.conftest import Harness

    harness = Harness(tmp_path_factory.mktemp("statuses"))
    problems = harness.write("tiny.toml", TINY_PROBLEMS)
    options = ["--plugin", PLUGINS / "statuses.py", "--problems", problems, "--impl", ",".join(STATUSES)]
    done = harness("run", *options, "--timeout", 6, "--memory", 1, "--baseline", "right", "--out", "out")
    return harness, done


@pytest.mark.parametrize("name, expected", STATUSES.items(), ids=STATUSES)
def test_status_and_reason(finished, name, expected):
    harness, _ = finished
    row = harness.results("out").loc[name].iloc[0]
    assert row.status == expected[0]
    assert expected[1] in ("" if row.reason != row.reason else row.reason)


def test_only_what_is_right_has_a_time(finished):
    harness, _ = finished
    table = harness.results("out")
    assert table[table.median_s.notna()].implementation.tolist() == ["right"]
    assert table[table.workspace_bytes.notna()].implementation.tolist() == ["right"]


def test_a_record_keeps_what_was_printed(finished):
    harness, _ = finished
    lines = (json.loads(line) for line in (harness.folder / "out/journal.jsonl").read_text().splitlines())
    printed = {line["cell"]["implementation"]: line["cell"]["printed"] for line in lines if "cell" in line}
    assert "about to abort" in printed["aborts"]
    assert 'raise RuntimeError("this kernel has no soul")' in printed["raises"]
    assert printed["right"] == ""


def test_a_record_says_where_and_when(finished):
    harness, _ = finished
    lines = [json.loads(line) for line in (harness.folder / "out/journal.jsonl").read_text().splitlines()]
    (machine,) = (line["machine"] for line in lines if "machine" in line)
    cells = [line["cell"] for line in lines if "cell" in line]
    assert machine["processor"] and all(cell["machine"].startswith(machine["processor"]) for cell in cells)
    assert all(cell["taken"] >= machine["date"] for cell in cells)


def test_a_crash_quotes_the_last_lines(finished):
    harness, _ = finished
    assert "about to abort" in harness.results("out").loc["aborts"].iloc[0].reason


def test_the_run_ends_with_status_1_and_says_why_each_is_missing(finished):
    _, done = finished
    assert done.returncode == 1
    assert done.stderr == ""
    for name, (status, _) in STATUSES.items():
        if status != "ok":
            assert f"{name}: {status}: " in done.stdout


def test_every_file_of_a_run_is_there(finished):
    harness, _ = finished
    expected = ["environment.json", "journal.jsonl", "plan.json", "report.md", "results.csv", "samples.csv"]
    assert sorted(path.name for path in (harness.folder / "out").iterdir()) == expected
    lines = [json.loads(line) for line in (harness.folder / "out/journal.jsonl").read_text().splitlines()]
    assert sum("cell" in line for line in lines) == len(STATUSES)


def test_over_budget_is_predicted_and_not_run(harness):
    problems = harness.write("two.toml", TINY_PROBLEMS.replace("length = 16", "length = [16, 512]"))
    done = harness("run", "--plugin", PLUGINS / "statuses.py", "--problems", problems, "--impl", "too-slow", "--out", "out")
    table = harness.results("out")
    assert table.status.tolist() == ["ok", "over-budget"]
    assert "predicted" in table.reason.iloc[1]
    assert "the budget is 5 s" in table.reason.iloc[1]
    assert done.returncode == 0


def test_a_broken_entry_is_a_row_and_not_the_end(harness, tiny):
    """A package that announces implementations but cannot be imported."""
    package = harness.folder / "broken_pkg-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_pkg\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[attention_harness.implementations]\nbroken = broken_pkg:kernel\n")
    harness.write("broken_pkg.py", "import a_module_that_is_not_there\n")
    done = harness("run", "--impl", "numpy,broken", "--problems", tiny, "--out", "out")
    table = harness.results("out")
    assert table.loc["numpy"].iloc[0].status == "ok"
    assert table.loc["broken"].iloc[0].status == "error"
    assert "a_module_that_is_not_there" in table.loc["broken"].iloc[0].reason
    assert done.returncode == 1
