"""Folders of runs that were damaged: by a disk, by hand, by a program that knew better."""

import functools
import json
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.runs.folder import RunFolder
from tests.attacks.kind import Scene, kept_scene, orderly

GONE = object()

FILES = ("plan.json", "journal.jsonl", "environment.json")
"""Of a run, what is read again."""

PROBLEMS = """[tiny]
[tiny.effort]
limits = false
memory = false
processes = 1
rounds = 2
min_rounds = 2
turn_s = 0.004
sample_s = 0.001
warmup_s = 0.004
cell_s = 0.02
budget_s = 5.0
[[tiny.problems]]
heads = 1
length = [8, 16]
head_dim = 8
"""


@functools.cache
def run() -> Path:
    """The folder of a small run, made once by this process."""
    scene = kept_scene()
    scene.write("tiny.toml", PROBLEMS)
    done = scene.run("run", "--impl", "numpy,numpy-online,jax", "--problems", "tiny.toml", "--out", "run")
    assert done.status in (0, 1), done.whole
    return scene.folder / "run"


def taken_for_data(folder: Path) -> str:
    """Records that are read from a journal and were never written into it; "" where there are none."""
    written = {cell.key: cell for cell in RunFolder.open(run()).journal.cells}
    changed = [cell for cell in RunFolder.open(folder).journal.cells if written.get(cell.key) != cell]
    return f"taken for data: {changed}" if changed else ""


def flipped_bit(scene: Scene, draw: random.Random) -> str:
    """A bit of the journal is changed: what is read is what was measured, or nothing; the other lines stand."""
    folder = scene.folder / "run"
    shutil.copytree(run(), folder)
    journal = folder / "journal.jsonl"
    data = bytearray(journal.read_bytes())
    at = draw.randrange(len(data))
    data[at] ^= 1 << draw.randrange(8)
    journal.write_bytes(data)
    done = scene.call("report", "run", "--format", "csv")
    said = orderly(done) or ("" if done.status == 0 else done.whole) or taken_for_data(folder)
    lost = len(RunFolder.open(run()).journal.cells) - len(RunFolder.open(folder).journal.cells)
    if not said and lost > 2:  # A line's end that has become another character joins two.
        said = f"{lost} records are lost"
    return said and f"byte {at}: {said}"


def cut_journal(scene: Scene, draw: random.Random) -> str:
    """The journal ends anywhere, as a kill or a full disk leaves it."""
    folder = scene.folder / "run"
    shutil.copytree(run(), folder)
    journal = folder / "journal.jsonl"
    at = draw.randrange(journal.stat().st_size)
    os.truncate(journal, at)
    done = scene.call("report", "run", "--format", "csv")
    said = orderly(done) or ("" if done.status == 0 else done.whole) or taken_for_data(folder)
    return said and f"cut at {at}: {said}"


def damaged(scene: Scene, draw: random.Random) -> str:
    """Anything may have happened to one of the files: a report or a sentence comes of it, and never a traceback."""
    folder = scene.folder / "run"
    shutil.copytree(run(), folder)
    what = draw.choice(DAMAGES)(folder, draw, FILES)
    command = draw.choice(
        [("report", "run"), ("report", "run", "--format", "md"), ("compare", "run", "run"), ("baseline", "save", "x", "run"),
         ("compare", "run", "--impl", "numpy", "--against", "numpy-online"), ("run", "--resume", "run", "--timeout", "20")]
    )  # fmt: skip
    said = orderly(scene.call(*command))
    return said and f"{what}; {' '.join(command)}: {said}"


def _text(folder: Path, draw: random.Random, names: Sequence[str]) -> str:
    """A file holds something else."""
    path = folder / draw.choice([*names, "results.csv"])
    text = draw.choice(
        ["", "\n", "{}", "[]", "null", "3", '"x"', "{", "NaN", '{"a": 1}\n{"b": 2}\n', "\x00" * 10, "[" * 5000,
         '{"cell": 3}\n', '{"crc32": "00000000", "cell": {}}\n', "\ufeff{}",
         '{"memory": {}}\n', '{"machine": 3}\n', '{"warning": {}}\n']
    )  # fmt: skip
    path.write_text(text, encoding="utf-8")
    return f"{path.name} = {text[:30]!r}"


def _gone(folder: Path, draw: random.Random, names: Sequence[str]) -> str:
    """A file is gone, a folder, a loop, or a link to nothing."""
    path = folder / draw.choice([*names, "results.csv", "report.md"])
    path.unlink(missing_ok=True)
    what = draw.choice(["gone", "a folder", "a loop", "a link to nothing", "a device"])
    if what == "a folder":
        path.mkdir()
    elif what == "a loop":
        path.symlink_to(path.name)
    elif what == "a link to nothing":
        path.symlink_to("/nowhere/at/all")
    elif what == "a device":
        path.symlink_to("/dev/full")
    return f"{path.name} is {what}"


def _member(folder: Path, draw: random.Random, names: Sequence[str]) -> str:
    value = draw.choice([None, 3, -1, 1.5, "x", "", [], {}, True, [1, 2], {"a": 1}, 10**400, "nan", "\udc80", GONE])
    return changed_member(folder, draw, value, names)


def changed_member(folder: Path, draw: random.Random, value: Any, names: Sequence[str] = FILES) -> str:
    """One member of the plan, the machine or a record, at any depth, has another value, or is `GONE`."""
    name = draw.choice(names)
    path = folder / name
    text = path.read_text(encoding="utf-8")
    lines = [text] if name.endswith(".json") else text.splitlines()
    number = draw.randrange(len(lines))
    data = json.loads(lines[number])
    data.pop("crc32", None)  # As in runs that were written before there was one.
    at, key = _place(data, draw)
    if value is GONE:
        del at[key]
    else:
        at[key] = value
    lines[number] = json.dumps(data)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{name}, line {number + 1}, {key} = {value!r:.40}"


def _place(data, draw):  # type: ignore[no-untyped-def]
    """A member of a member of … of an object."""
    at = data
    while True:
        key = draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
        if isinstance(at[key], dict | list) and at[key] and draw.random() < 0.8:
            at = at[key]
        else:
            return at, key


DAMAGES = (_text, _gone, _member, _member, _member)
