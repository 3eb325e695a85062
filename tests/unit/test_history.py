"""Which runs are earlier runs of a machine."""

import dataclasses
import os
import shutil

import pytest

from harness.records.machine import Machine
from harness.runs import baselines
from harness.runs.folder import RunFolder
from harness.runs.history import earlier_runs
from tests.unit import factories

NEW = Machine(processor="Some CPU", date="2026-05-05T10:00:00+00:00")


@pytest.fixture
def runs(tmp_path):
    """Makes the folder of a run."""

    def make(name, machine, **changes):
        folder = RunFolder.create(tmp_path / "runs" / name, factories.plan("a", **changes))
        folder.write_machine(machine)
        return folder

    return make


def dates(found):
    return [run.machine.date for run in found]


def test_earlier_runs_of_the_same_machine_count_once_the_oldest_first(runs, tmp_path):
    march, april = (dataclasses.replace(NEW, date=f"2026-0{month}-01T10:00:00+00:00") for month in (3, 4))
    old = runs("z", march)
    runs("a", april)
    runs("other-machine", dataclasses.replace(march, processor="Other CPU"))
    runs("other-threads", march, threads=1)
    runs("other-effort", march, effort=factories.Effort(rounds=9))
    runs("later", dataclasses.replace(NEW, date="2026-06-01T10:00:00+00:00"))
    new = runs("new", NEW)
    (tmp_path / "runs" / "no-run").mkdir()
    broken = tmp_path / "runs" / "broken"
    shutil.copytree(old.path, broken)
    (broken / "plan.json").write_text("{")
    shutil.copytree(old.path, tmp_path / "baselines" / "kept")
    folders = [tmp_path / "runs", tmp_path / "baselines", tmp_path / "nowhere"]
    assert dates(earlier_runs(new.run(), folders)) == [march.date, april.date]


def test_a_baseline_is_a_copy_of_what_a_run_consists_of(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = runs("run", NEW).path
    (source / "back").symlink_to(source)
    (source / "without-end").symlink_to("/dev/zero")
    os.mkfifo(source / "pipe")
    kept = baselines.save("kept", source)
    assert {path.name for path in kept.iterdir()} == {"plan.json", "journal.jsonl", "environment.json"}
    assert (kept / "plan.json").read_bytes() == (source / "plan.json").read_bytes()
