"""A run's folder: what is in it survives kills, full disks and mistakes, or says that it did not."""

import errno
import json
import os
import resource
from collections import Counter

import pytest

from harness.errors import Status, UserError
from harness.measure.plan import Effort, Plan
from harness.problem import Problem
from harness.runs.folder import RunFolder, with_status
from tests.unit.findings import OTHER_PROBLEM, PROBLEM, absent, measured, memory, plan

FIRST = measured("numpy", 1e-3, 2e-3, warnings=("noisy",))
SECOND = absent("torch", Status.UNAVAILABLE, "torch is not installed")
THIRD = absent("naive", Status.OVER_BUDGET, "predicted 80 s a call")


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs" / "one", plan("numpy", "torch", "naive"))


def names(cells):
    return [cell.implementation for cell in cells]


# --- the plan ----------------------------------------------------------------------------------------


def test_a_plan_survives_the_disk(tmp_path):
    problems = (PROBLEM, OTHER_PROBLEM, Problem(q_len=4, head_dim=4, window=(3, -1), softcap=2.0, scale=-1.0))
    original = plan("numpy", "torch", problems=problems, baseline="numpy", effort=Effort(rounds=4, cell_s=0.25))
    RunFolder.create(tmp_path / "run", original)
    assert RunFolder.open(tmp_path / "run").plan == original


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        RunFolder.create(tmp_path, plan("numpy"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_with_a_run_in_it_says_how_to_go_on(folder):
    folder.add_cell(FIRST)
    with pytest.raises(UserError) as caught:
        RunFolder.create(folder.path, plan("torch"))
    assert f"python -m harness run --resume {folder.path}" in str(caught.value)
    assert RunFolder.open(folder.path).cells() == [FIRST]


def test_an_empty_folder_is_taken(tmp_path):
    RunFolder.create(tmp_path, plan("numpy"))
    assert RunFolder.open(tmp_path).cells() == []


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="file"):
            RunFolder.create(path, plan("numpy"))


def test_no_run_is_said_to_be_no_run(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("text", ["", '{"preset": "some"', "{}", "[]", "3", '{"preset": "some", "problems": [3]}'])
def test_a_plan_that_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError, match=r"plan\.json"):
        RunFolder.open(tmp_path)


def test_a_plan_with_a_problem_that_cannot_be_posed_is_refused(folder):
    data = json.loads((folder.path / "plan.json").read_text())
    data["problems"][0]["kv_heads"] = 3
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="divide"):
        RunFolder.open(folder.path)
    with pytest.raises((ValueError, KeyError, TypeError)):
        Plan.from_json(data)


# --- the journal -------------------------------------------------------------------------------------


def test_cells_come_back_in_the_order_of_measurement(folder):
    for cell in (SECOND, FIRST, THIRD):
        folder.add_cell(cell)
    assert RunFolder.open(folder.path).cells() == [SECOND, FIRST, THIRD]


def test_a_record_is_on_the_disk_before_the_next_begins(folder, monkeypatch):
    synced = Counter()
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.update([os.readlink(f"/proc/self/fd/{descriptor}")]))
    folder.add_cell(FIRST)
    folder.add_cell(SECOND)
    assert synced == {str(folder.journal): 2}


def test_memory_joins_its_cell(folder):
    other = measured("numpy", 3e-3, problem=OTHER_PROBLEM)
    for cell in (FIRST, other, SECOND):
        folder.add_cell(cell)
    folder.add_memory(FIRST, memory(4096))
    cells = folder.cells()
    assert [cell.memory for cell in cells] == [memory(4096), None, None]
    assert cells[0].timing == FIRST.timing


def test_a_warning_joins_those_of_its_cell(folder):
    folder.add_cell(FIRST)
    folder.add_warning(FIRST, "its memory could not be measured")
    assert folder.cells()[0].warnings == ("noisy", "its memory could not be measured")


def test_a_run_is_measured_when_every_cell_is_there(folder):
    for cell in (FIRST, SECOND):
        folder.add_cell(cell)
    assert not folder.measured()
    folder.add_cell(THIRD)
    assert folder.measured()


@pytest.mark.parametrize("cut", [1, 20, -2, -1])
def test_a_line_cut_off_by_a_kill_is_left_out_and_mended(folder, cut):
    folder.add_cell(FIRST)
    whole = folder.journal.read_bytes()
    folder.add_cell(SECOND)
    half = folder.journal.read_bytes()[len(whole) :][:cut]
    folder.journal.write_bytes(whole + half)
    if cut != -1:  # Only the line's end is missing: the record may be kept or taken again.
        assert RunFolder.open(folder.path).cells() == [FIRST]
    folder.mend()
    assert folder.journal.read_bytes() == whole
    folder.add_cell(THIRD)
    assert RunFolder.open(folder.path).cells() == [FIRST, THIRD]


def test_mending_leaves_a_whole_journal_alone(folder):
    folder.mend()
    folder.add_cell(FIRST)
    before = folder.journal.read_bytes()
    folder.mend()
    assert folder.journal.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [b"{\n", b"\x00\x00\n", b"\xff\n", b"3\n", b"[]\n", b"{}\n", b'{"cell": {}}\n', b'{"cell": 3}\n', b'{"memory": {}}\n'],
)
@pytest.mark.parametrize("place", ["middle", "end"])
def test_any_other_damage_is_said_with_its_line(folder, damage, place):
    folder.add_cell(FIRST)
    with folder.journal.open("ab") as file:
        file.write(damage)
    if place == "middle":
        folder.add_cell(SECOND)
    with pytest.raises(UserError, match=r"journal\.jsonl, line 2"):
        folder.cells()


def test_a_record_of_another_shape_is_damage(folder):
    folder.add_cell(FIRST)
    entry = json.loads(folder.journal.read_text())
    entry["cell"]["accuracy"] = 5
    folder.journal.write_text(json.dumps(entry) + "\n")
    with pytest.raises(UserError, match="line 1"):
        folder.cells()


def test_memory_of_a_cell_that_is_not_there_is_damage(folder):
    folder.add_memory(FIRST, memory())
    with pytest.raises(UserError, match="line 1"):
        folder.cells()


def test_a_run_that_died_before_its_journal_was_made_gives_a_sentence(folder):
    folder.journal.unlink()
    with pytest.raises(UserError, match=r"journal\.jsonl"):
        folder.cells()
    with pytest.raises(UserError, match=r"journal\.jsonl"):
        folder.mend()


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_what_was_written_and_says_how_to_go_on(folder, monkeypatch):
    folder.add_cell(FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(UserError) as caught:
            folder.add_cell(SECOND)
    assert "No space left on device" in str(caught.value)
    assert f"python -m harness run --resume {folder.path}" in str(caught.value)
    assert folder.cells() == [FIRST]
    folder.add_cell(THIRD)
    assert RunFolder.open(folder.path).cells() == [FIRST, THIRD]


def test_half_a_record_on_a_full_disk_does_no_harm(folder):
    folder.add_cell(FIRST)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (folder.journal.stat().st_size + 40, hard))
    try:
        with pytest.raises(UserError, match="--resume"):
            folder.add_cell(SECOND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    again = RunFolder.open(folder.path)
    assert again.cells() == [FIRST]
    again.mend()
    again.add_cell(THIRD)
    assert again.cells() == [FIRST, THIRD]


# --- what stands beside it ---------------------------------------------------------------------------


def test_the_first_session_s_machine_is_kept(folder):
    assert folder.environment() == {}
    folder.write_environment({"processor": "one", "threads": 2})
    folder.write_environment({"processor": "two"})
    folder.write_environment({"processor": "three"})
    kept = RunFolder.open(folder.path).environment()
    assert (kept["processor"], kept["threads"]) == ("one", 2)
    assert [session["processor"] for session in kept["resumed"]] == ["two", "three"]


def test_a_table_is_replaced_whole(folder):
    assert folder.write_text("report.md", "old").read_text() == "old"
    path = folder.write_text("report.md", "ne\nw µ")
    assert path == folder.path / "report.md" and path.read_text() == "ne\nw µ"
    assert {p.name for p in folder.path.iterdir()} == {"plan.json", "journal.jsonl", "report.md"}


def test_a_table_that_cannot_be_written_is_named(folder):
    (folder.path / "report.md").mkdir()
    with pytest.raises(UserError, match=r"report\.md"):
        folder.write_text("report.md", "text")


def test_cells_by_status():
    assert names(with_status([FIRST, SECOND, THIRD], Status.OK, Status.OVER_BUDGET)) == ["numpy", "naive"]
