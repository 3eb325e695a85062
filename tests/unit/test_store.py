"""A run's folder: what is in it survives kills, full disks and mistakes, or says that it did not."""

import dataclasses
import errno
import json
import math
import os
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.errors import Status, UserError
from harness.measure.plan import Effort
from harness.operators.attention.operator import ATTENTION
from harness.problem import Problem
from harness.records.accuracy import Accuracy
from harness.records.cell import Cell
from harness.records.lock import owned
from harness.records.machine import Machine
from harness.runs.folder import RunFolder
from tests.unit.factories import OTHER_PROBLEM, PROBLEM, absent, measured, memory, plan

ROOT = Path(__file__).parents[2]

FIRST = measured("numpy", 1e-3, 2e-3, warnings=("noisy",))
SECOND = absent("torch", Status.UNAVAILABLE, "torch is not installed")
THIRD = absent("naive", Status.OVER_BUDGET, "predicted 80 s a call")


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs" / "one", plan("numpy", "torch", "naive"))


# --- the plan ----------------------------------------------------------------------------------------


def test_a_plan_survives_the_disk(tmp_path):
    problems = (PROBLEM, OTHER_PROBLEM, Problem(q_len=4, head_dim=4, window=(3, -1), softcap=2.0, scale=-1.0))
    original = plan("numpy", "torch", problems=problems, baseline="numpy", effort=Effort(rounds=4, cell_s=0.25))
    RunFolder.create(tmp_path / "run", original)
    assert RunFolder.open(tmp_path / "run").plan(ATTENTION) == original


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        RunFolder.create(tmp_path, plan("numpy"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_with_a_run_in_it_says_how_to_go_on(folder):
    folder.journal.add_cell(FIRST)
    with pytest.raises(UserError) as caught:
        RunFolder.create(folder.path, plan("torch"))
    assert f"python -m harness run --resume {folder.path}" in str(caught.value)
    assert RunFolder.open(folder.path).journal.cells == [FIRST]


def test_an_empty_folder_is_taken(tmp_path):
    RunFolder.create(tmp_path, plan("numpy"))
    assert RunFolder.open(tmp_path).journal.cells == []


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


@pytest.mark.parametrize("operator", [{"a": 1}, ["attention"], 3, None])
def test_a_plan_whose_operator_is_no_name_is_refused(folder, operator):
    data = json.loads((folder.path / "plan.json").read_text())
    data["operator"] = operator
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="operator must be a name"):
        RunFolder.open(folder.path)


@pytest.mark.parametrize("name", ["problems", "contenders"])
def test_a_plan_of_nothing_is_refused(folder, name):
    data = json.loads((folder.path / "plan.json").read_text())
    data[name] = []
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"it has no {name}"):
        RunFolder.open(folder.path)


NO_FIELDS = [
    ("dtype", None), ("dtype", 3), ("batch", {}), ("batch", 1e400), ("q_len", "8"), ("q_len", 1.5), ("scale", [[1]]),
]  # fmt: skip


@pytest.mark.parametrize("name, value", NO_FIELDS)
def test_a_field_that_no_problem_has_is_refused_in_a_plan_and_lost_in_a_journal(folder, name, value):
    folder.journal.add_cell(FIRST)
    plan, journal = folder.path / "plan.json", folder.path / "journal.jsonl"
    line = json.loads(journal.read_text())
    del line["crc32"]
    line["cell"]["problem"]["fields"][name] = value
    journal.write_text(json.dumps(line) + "\n")
    found = RunFolder.open(folder.path).journal
    assert found.cells == [] and f"field '{name}' is" in found.damage[0]

    data = json.loads(plan.read_text())
    data["problems"][0]["fields"][name] = value
    plan.write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"is not a plan of this version.*field '{name}' is"):
        RunFolder.open(folder.path)


def test_a_whole_number_that_no_float_can_hold_is_refused(folder):
    data = json.loads((folder.path / "plan.json").read_text())
    data["problems"][0]["flops"] = 10**400
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="flops is 1000"):
        RunFolder.open(folder.path)


def test_half_a_character_is_written_as_its_escape(folder):
    """As Python makes them of the bytes of a name that is not UTF-8."""
    assert folder.write_text("report.md", "k\udcff.py\n").read_text(encoding="utf-8") == "k\\udcff.py\n"


@pytest.mark.parametrize(
    "origin", [{"kind": "file", "location": ["a"]}, {"kind": {}, "location": "a"}, {"kind": "file"}, "a"]
)
def test_a_plan_that_does_not_say_where_an_implementation_is_from_is_refused(folder, origin):
    data = json.loads((folder.path / "plan.json").read_text())
    data["contenders"][0]["origin"] = origin
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="is not a plan of this version"):
        RunFolder.open(folder.path)


def test_a_plan_with_a_problem_that_cannot_be_posed_is_refused(folder):
    data = json.loads((folder.path / "plan.json").read_text())
    data["problems"][0]["fields"]["kv_heads"] = 3
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="divide"):
        RunFolder.open(folder.path).plan(ATTENTION)


def bare_fields(folder):
    """The plan and the journal as they were written before operators had names."""
    data = json.loads((folder.path / "plan.json").read_text())
    del data["operator"]
    data["problems"] = [problem["fields"] for problem in data["problems"]]
    for contender in data["contenders"]:
        contender["origin"] = {"kind": "module", "location": "impls.some"}
    (folder.path / "plan.json").write_text(json.dumps(data))
    lines = [json.loads(line) for line in folder.journal.path.read_text().splitlines()]
    for line in lines:
        del line["crc32"]
        if "cell" in line:
            line["cell"]["problem"] = line["cell"]["problem"]["name"]
            for name in ("machine", "taken", "printed"):
                del line["cell"][name]
    folder.journal.path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_of_an_earlier_version_is_read(folder):
    folder.journal.add_cell(FIRST)
    folder.journal.add_memory(FIRST, memory(4096))
    before, plan_before = folder.run(), folder.plan(ATTENTION)
    bare_fields(folder)
    again = RunFolder.open(folder.path)
    assert again.run() == before
    assert again.plan(ATTENTION) == plan_before


def test_a_problem_of_an_earlier_version_that_cannot_be_posed_is_refused(folder):
    bare_fields(folder)
    data = json.loads((folder.path / "plan.json").read_text())
    data["problems"][0]["kv_heads"] = 3
    (folder.path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="divide"):
        RunFolder.open(folder.path)


# --- the journal -------------------------------------------------------------------------------------


def test_cells_come_back_in_the_order_of_measurement(folder):
    for cell in (SECOND, FIRST, THIRD):
        folder.journal.add_cell(cell)
    assert RunFolder.open(folder.path).journal.cells == [SECOND, FIRST, THIRD]


def test_a_record_is_on_the_disk_before_the_next_begins(folder, monkeypatch):
    synced = Counter()
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.update([os.readlink(f"/proc/self/fd/{descriptor}")]))
    folder.journal.add_cell(FIRST)
    folder.journal.add_cell(SECOND)
    assert synced == {str(folder.journal.path): 2}


def test_memory_joins_its_cell(folder):
    other = measured("numpy", 3e-3, problem=OTHER_PROBLEM)
    for cell in (FIRST, other, SECOND):
        folder.journal.add_cell(cell)
    folder.journal.add_memory(FIRST, memory(4096))
    cells = folder.journal.cells
    assert [cell.memory for cell in cells] == [memory(4096), None, None]
    assert cells[0].timing == FIRST.timing


def test_a_warning_joins_those_of_its_cell(folder):
    folder.journal.add_cell(FIRST)
    folder.journal.add_warning(FIRST, "its memory could not be measured")
    assert folder.journal.cells[0].warnings == ("noisy", "its memory could not be measured")


@pytest.mark.parametrize("cut", [1, 20, -2, -1])
def test_a_line_cut_off_by_a_kill_is_left_out_and_mended(folder, cut):
    folder.journal.add_cell(FIRST)
    whole = folder.journal.path.read_bytes()
    folder.journal.add_cell(SECOND)
    half = folder.journal.path.read_bytes()[len(whole) :][:cut]
    folder.journal.path.write_bytes(whole + half)
    if cut != -1:  # Only the line's end is missing: the record may be kept or taken again.
        assert RunFolder.open(folder.path).journal.cells == [FIRST]
    folder.journal.mend()
    assert folder.journal.path.read_bytes() == whole
    folder.journal.add_cell(THIRD)
    assert RunFolder.open(folder.path).journal.cells == [FIRST, THIRD]


def test_mending_leaves_a_whole_journal_alone(folder):
    folder.journal.mend()
    folder.journal.add_cell(FIRST)
    before = folder.journal.path.read_bytes()
    folder.journal.mend()
    assert folder.journal.path.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [b"{\n", b"\x00\x00\n", b"\xff\n", b"3\n", b"[]\n", b"{}\n", b'{"cell": {}}\n', b'{"cell": 3}\n', b'{"memory": {}}\n'],
)
@pytest.mark.parametrize("place", ["middle", "end"])
def test_any_other_damage_is_one_line_lost_and_said(folder, damage, place):
    folder.journal.add_cell(FIRST)
    with folder.journal.path.open("ab") as file:
        file.write(damage)
    if place == "middle":
        folder.journal.add_cell(SECOND)
    again = RunFolder.open(folder.path).journal
    assert again.cells == [FIRST, SECOND][: 2 if place == "middle" else 1]
    (said,) = again.damage
    assert f"{folder.journal.path}, line 2, is lost: it is" in said


def test_a_record_of_another_shape_is_damage(folder):
    folder.journal.add_cell(FIRST)
    entry = json.loads(folder.journal.path.read_text())
    del entry["crc32"]
    entry["cell"]["accuracy"] = 5
    folder.journal.path.write_text(json.dumps(entry) + "\n")
    again = RunFolder.open(folder.path).journal
    assert not again.cells and "line 1" in again.damage[0]


@pytest.mark.parametrize("change", [("1e-03", "1e-53"), ("0.001", "0.004"), ("noisy", "quiet"), ('"cell"', '"cull"')])
def test_another_byte_is_damage_and_never_data(folder, change):
    folder.journal.add_cell(FIRST)
    folder.journal.add_cell(SECOND)
    text = folder.journal.path.read_text()
    old, new = change if change[0] in text else ("numpy", "numpi")
    folder.journal.path.write_text(text.replace(old, new, 1))
    again = RunFolder.open(folder.path).journal
    assert again.cells == [SECOND] and "line 1, is lost: its checksum is another" in again.damage[0]


def test_what_was_written_before_there_were_checksums_is_read(folder):
    folder.journal.add_cell(FIRST)
    entry = json.loads(folder.journal.path.read_text())
    assert list(entry) == ["crc32", "cell"]
    folder.journal.path.write_text(json.dumps({"cell": entry["cell"]}) + "\n")
    assert RunFolder.open(folder.path).journal.cells == [FIRST]


def test_a_folder_has_one_owner(folder):
    plan = str(folder.path / "plan.json")
    code = f"from pathlib import Path\nfrom harness.records.lock import owned\nwith owned(Path({plan!r})): pass"
    with owned(Path(plan)):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 1 and f"is in use by process {os.getpid()}" in done.stderr
    assert not subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode


def test_memory_of_a_cell_that_is_not_there_is_damage(folder):
    folder.journal.path.write_text('{"memory": {"implementation": "numpy", "problem": "some", "peak_bytes": 1}}\n')
    assert "line 1" in RunFolder.open(folder.path).journal.damage[0]


def test_kinds_of_lines_that_are_not_known_are_left_out(folder):
    folder.journal.add_cell(FIRST)
    with folder.journal.path.open("a") as file:
        file.write('{"verdict": {"passed": true}}\n')
    folder.journal.add_cell(SECOND)
    assert RunFolder.open(folder.path).journal.cells == [FIRST, SECOND]


def test_a_cell_can_be_read_alone(folder):
    folder.journal.add_cell(FIRST)
    (line,) = folder.journal.path.read_text().splitlines()
    assert Cell.from_json(json.loads(line)["cell"]) == FIRST
    assert json.loads(line)["cell"]["problem"]["fields"]["q_len"] == PROBLEM.q_len


def test_a_run_that_died_before_its_journal_was_made_gives_a_sentence(folder):
    folder.journal.path.unlink()
    with pytest.raises(UserError, match=r"journal\.jsonl"):
        RunFolder.open(folder.path)
    with pytest.raises(UserError, match=r"journal\.jsonl"):
        folder.journal.mend()


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_what_was_written_and_says_how_to_go_on(folder, monkeypatch):
    folder.journal.add_cell(FIRST)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(UserError) as caught:
            folder.journal.add_cell(SECOND)
    assert "No space left on device" in str(caught.value)
    assert f"python -m harness run --resume {folder.path}" in str(caught.value)
    assert folder.journal.cells == [FIRST]
    folder.journal.add_cell(THIRD)
    assert RunFolder.open(folder.path).journal.cells == [FIRST, THIRD]


def test_half_a_record_on_a_full_disk_does_no_harm(folder):
    folder.journal.add_cell(FIRST)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (folder.journal.path.stat().st_size + 40, hard))
    try:
        with pytest.raises(UserError, match="--resume"):
            folder.journal.add_cell(SECOND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    again = RunFolder.open(folder.path)
    assert again.journal.cells == [FIRST]
    again.journal.mend()
    again.journal.add_cell(THIRD)
    assert again.journal.cells == [FIRST, THIRD]


# --- what stands beside it ---------------------------------------------------------------------------


def test_the_first_session_s_machine_is_kept(folder):
    assert folder.machine() == Machine()
    folder.write_machine(Machine(processor="one", threads=2))
    folder.write_machine(Machine(processor="two"))
    folder.write_machine(Machine(processor="three", matmul_flops_per_s={"cpu float32": 1e9}))
    kept = RunFolder.open(folder.path).machine()
    assert (kept.processor, kept.threads, kept.name) == ("one", 2, "one, 2 threads")
    assert [session.processor for session in kept.resumed] == ["two", "three"]
    assert kept.resumed[1].rate("cpu", "float32") == 1e9 and kept.rate("cpu", "float32") is None


def test_a_session_on_another_machine_is_told():
    first = Machine(processor="one", threads=2, versions={"torch": "2.12", "jax": "0.9"})
    same, later = dataclasses.replace(first), dataclasses.replace(first, processor="two", versions={"torch": "2.13"})
    told = dataclasses.replace(first, resumed=(same, later)).told
    assert told == (
        "one, 2 threads. Gone on with elsewhere: one, 2 threads then, and two, 2 threads now; "
        "torch 2.12 then, and 2.13 now; jax 0.9 then, and none now."
    )


def test_what_is_written_is_json_for_every_parser(folder):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    wrong = Accuracy(math.inf, math.inf, 64, "o[0, 0, 0, 0]", 0.0, math.inf)
    cell = absent("torch", Status.INCORRECT, "not a number", accuracy=wrong)
    folder.journal.add_cell(cell)
    (line,) = folder.journal.path.read_text().splitlines()
    assert json.loads(line, parse_constant=refuse)["cell"]["accuracy"]["max_abs_error"] == "inf"
    assert RunFolder.open(folder.path).journal.cells == [cell]


def test_a_table_is_replaced_whole(folder):
    assert folder.write_text("report.md", "old").read_text() == "old"
    path = folder.write_text("report.md", "ne\nw µ")
    assert path == folder.path / "report.md" and path.read_text() == "ne\nw µ"
    assert {p.name for p in folder.path.iterdir()} == {"plan.json", "journal.jsonl", "report.md"}


def test_a_table_that_cannot_be_written_is_named(folder):
    (folder.path / "report.md").mkdir()
    with pytest.raises(UserError, match=r"report\.md"):
        folder.write_text("report.md", "text")
