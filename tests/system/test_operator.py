"""An operator that somebody else wrote goes through every command as attention does, with no file of the harness changed."""

import json

import pytest

from tests.system.conftest import PLUGINS, Harness

pytestmark = pytest.mark.xdist_group("operator")  # One process of pytest-xdist makes what the tests share.

PLUGIN = PLUGINS / "row_softmax.py"
PROBLEMS = """
[rows]
operator = "row-softmax"
effort = { rounds = 6, min_rounds = 6, turn_s = 0.004, sample_s = 0.001, warmup_s = 0.004, cell_s = 0.05, budget_s = 5.0 }
problems = [{ rows = 8, length = [16, 64] }]
"""


def test_it_is_short():
    assert len(PLUGIN.read_text().splitlines()) <= 60


def test_its_implementations_are_listed(harness):
    entries = json.loads(harness("list", "--json", "--plugin", PLUGIN).stdout)
    found = {(entry["operator"], entry["name"]): entry for entry in entries}
    assert {("row-softmax", name) for name in ("rows-numpy", "rows-loop", "rows-columns")} <= found.keys()
    assert {("attention", "numpy"), ("multi-head", "numpy")} <= found.keys()
    assert found["row-softmax", "rows-loop"]["summary"] == "One row after the other."


def test_they_are_checked_by_its_cases(harness):
    done = harness("check", "--plugin", PLUGIN, "--impl", "rows-numpy,rows-loop")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("4 passed") >= 2


def test_a_fault_is_told_with_its_cause(harness):
    done = harness("check", "--plugin", PLUGIN, "--impl", "rows-columns")
    assert done.returncode == 1
    assert "It equals the formula with the softmax of every column." in done.stdout
    assert "failed, 4 cases: the formula with the softmax of every column" in done.stdout
    one = harness("check", "--plugin", PLUGIN, "--impl", "rows-columns", "--case", "values/n31")
    assert "1 incorrect" in one.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    harness = Harness(tmp_path_factory.mktemp("rows"))
    problems = harness.write("rows.toml", PROBLEMS)
    done = harness(
        "run", "--plugin", PLUGIN, "--problems", problems, "--impl", "all", "--baseline", "rows-loop", "--out", "out"
    )
    return harness, done


def test_they_are_measured_and_weighed(finished):
    harness, done = finished
    assert done.returncode == 1, done.stderr  # Because of the fault.
    table = harness.results("out")
    assert set(table.implementation) == {"rows-numpy", "rows-loop", "rows-columns"}
    right = table[table.status == "ok"]
    assert sorted(right.implementation) == ["rows-loop", "rows-loop", "rows-numpy", "rows-numpy"]
    assert (right.median_s > 0).all() and right.workspace_bytes.notna().all() and right.speedup_vs_baseline.notna().all()
    assert list(table.columns[4:7]) == ["rows", "length", "dtype"]
    assert sorted(right.flops.unique()) == [4 * 8 * 16, 4 * 8 * 64]


def test_a_report_needs_no_plug_in(finished):
    harness, _ = finished
    assert harness("report", "out", "--format", "md").stdout == (harness.folder / "out/report.md").read_text()
    assert "# Row softmax: rows" in (harness.folder / "out/report.md").read_text()
    pytest.importorskip("matplotlib")
    assert harness("report", "out", "--plot", "rows.png").returncode == 0


def test_a_run_goes_on(finished):
    harness, _ = finished
    journal = harness.folder / "out/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "machine" in json.loads(line)] + [
        line for line in lines if "cell" in json.loads(line)
    ][:4]
    journal.write_text("".join(kept))
    done = harness("run", "--resume", "out")
    assert done.returncode == 1, done.stderr
    assert len(harness.results("out")) == 6


def test_problems_of_another_operator_are_refused(harness):
    file = harness.write("attention.toml", "[a]\n[[a.problems]]\nlength = 8\nhead_dim = 8\n")
    done = harness("run", "--plugin", PLUGIN, "--impl", "rows-numpy", "--problems", file)
    assert done.returncode == 2
    assert "rows-numpy implements row-softmax, and the problems are of attention" in done.stderr
    done = harness("run", "--plugin", PLUGIN, "--impl", "rows-numpy", "--preset", "smoke")
    assert done.returncode == 2
    assert "there are no presets of row-softmax" in done.stderr


def test_an_unknown_operator_is_named(harness):
    problems = harness.write("rows.toml", PROBLEMS.replace("row-softmax", "row-softmex"))
    done = harness("run", "--plugin", PLUGIN, "--problems", problems)
    assert done.returncode == 2
    assert 'no operator is called "row-softmex". Did you mean row-softmax?' in done.stderr
