"""Kills at any moment: of the command, of a worker, or of both. Going on loses nothing and measures nothing twice."""

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from harness.workers import scratch
from tests.attacks.folders import PROBLEMS
from tests.attacks.kind import Done, Scene, orderly

IMPLEMENTATIONS = ("numpy", "numpy-online", "naive")
BASELINE = "numpy"

LONGEST_S = 6.0
"""A run takes about so long."""

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV)


def resumed(scene: Scene, draw: random.Random) -> str:
    """A run is killed once or twice, somewhere, and gone on with."""
    scene.write("tiny.toml", PROBLEMS.replace("memory = false", "memory = true"))
    command: tuple[object, ...] = ("run", "--impl", ",".join(IMPLEMENTATIONS), "--problems", "tiny.toml", "--out", "run")
    finished: list[dict] = []
    halves: Counter[str] = Counter()
    for _ in range(draw.choice((1, 1, 2))):
        if said := _killed(scene, command, draw):
            return said
        before, finished = finished, _cells(scene.folder / "run")
        if finished[: len(before)] != before:
            return "a record that was finished has changed"
        halves.update(_half_measured(finished))
        if (scene.folder / "run" / "plan.json").exists():
            command = ("run", "--resume", "run")
    done = scene.run(*command)
    if said := orderly(done):
        return said
    if _cells(scene.folder / "run")[: len(finished)] != finished:
        return "a record that was finished has changed"
    said = _measured_once(scene, halves=halves)
    return f"{said}; {done.whole}" if said else left(scene)


def owned(scene: Scene, draw: random.Random) -> str:
    """Two or three go on with one run at the same time: one of them does, and the others say that it does."""
    scene.write("tiny.toml", PROBLEMS)
    process = scene.start("run", "--impl", ",".join(IMPLEMENTATIONS), "--problems", "tiny.toml", "--out", "run")
    while not (scene.folder / "run" / "plan.json").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(draw.random() * LONGEST_S / 2)
    process.kill()
    process.communicate(timeout=120)
    halves = Counter(_half_measured(_cells(scene.folder / "run")))
    at_once = [scene.start("run", "--resume", "run") for _ in range(draw.choice((2, 3)))]
    ended = [(one.communicate(timeout=120), one.returncode) for one in at_once]
    done = [Done(status, out, err) for (out, err), status in ended]
    for one in done:
        if said := orderly(one):
            return said
        if one.status == 2 and "in use by process" not in one.err:
            return f"it does not say who has the folder: {one.whole}"
    if not any(one.status == 0 for one in done):
        return f"none went on: {[one.whole for one in done]}"
    return _measured_once(scene, halves=halves) or left(scene)


def beside(scene: Scene, draw: random.Random) -> str:
    """A run beside one that is killed, and beside what comes after: nobody ends, removes or counts what is another's."""
    scene.write("tiny.toml", PROBLEMS)
    command = ("run", "--impl", ",".join(IMPLEMENTATIONS), "--problems", "tiny.toml", "--threads", "1", "--out")
    runs = [scene.start(*command, name) for name in ("run", "killed")]
    time.sleep(draw.random() * LONGEST_S / 2)
    runs[1].send_signal(draw.choice(_SIGNALS))
    after = scene.run(draw.choice(("presets", "list")))
    ended = [(one.communicate(timeout=120), one.returncode) for one in runs]
    done = Done(ended[0][1], *ended[0][0])
    if said := orderly(after) or orderly(done):
        return said
    return _measured_once(scene, {"ok"}) or left(scene)


def _measured_once(
    scene: Scene, statuses: Collection[str] = ("ok", "crashed"), halves: Mapping[str, int] = MappingProxyType({})
) -> str:
    """Says which cells were not measured once, whatever came between. The baseline of a problem was measured again, as
    times of different sessions are not compared, at most as often as the problem was half measured when the run was killed.
    """
    wanted = {(name, f"b1h1q{n}k{n}d8-f32") for name in IMPLEMENTATIONS for n in (8, 16)}
    cells = _cells(scene.folder / "run")
    counts = Counter((cell["implementation"], cell["problem"]["name"]) for cell in cells)
    others = {cell["status"] for cell in cells} - set(statuses)
    most = {cell: 1 + (halves.get(cell[1], 0) if cell[0] == BASELINE else 0) for cell in wanted}
    wrong = set(counts) != wanted or any(counts[cell] > most[cell] for cell in wanted) or others
    return f"not every cell was measured once: {counts}, {others}" if wrong else ""


def _half_measured(cells: list[dict]) -> list[str]:
    """The problems of which some cells are in the journal, and not all."""
    counts = Counter(name for _, name in {(cell["implementation"], cell["problem"]["name"]) for cell in cells})
    return [name for name, count in counts.items() if count < len(IMPLEMENTATIONS)]


def _killed(scene: Scene, command: tuple[object, ...], draw: random.Random) -> str:
    """Start it, and send signals to it or its workers after some time. Says what was wrong with how it ended."""
    process = scene.start(*command)
    time.sleep(draw.random() * LONGEST_S)
    who, number = draw.choice(("command", "worker", "both", "group")), draw.choice(_SIGNALS)
    workers = _workers(process.pid)
    if who in ("worker", "both") and workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(draw.choice(workers), signal.SIGKILL)
    if who in ("command", "both", "group"):
        for _ in range(draw.choice((1, 1, 2, 8))):
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if who == "group" else os.kill)(process.pid, number)
    start = time.monotonic()
    out, err = process.communicate(timeout=120)
    took = time.monotonic() - start
    orderly_end = number not in (signal.SIGKILL, signal.SIGSEGV) and who != "worker"
    if orderly_end and process.returncode == 128 + number:
        if took > 2.5:
            return f"{number.name} to the {who} took {took:.1f} s"
        if (scene.folder / "run" / "plan.json").exists() and "--resume" not in out and "run's folder" in out:
            return f"{number.name} to the {who}: the way to go on was not said: {out[-300:]!r} {err[-300:]!r}"
    if "Traceback" in out + err:
        return f"{number.name} to the {who}: {out[-300:]!r} {err[-900:]!r}"
    return ""


def _workers(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    return []


def _cells(folder: Path) -> list[dict]:
    """The records of cells in the journal that are whole, memory and warnings apart."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / "journal.jsonl").read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                found += [entry["cell"]] if "cell" in (entry := json.loads(line)) else []
    return found


def left(scene: Scene) -> str:
    """What is left of the commands of a scene: processes in its folder, or temporary files."""
    time.sleep(0.05)
    here, left = str(scene.folder), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{name}/cwd") == here:
                left.append(Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
    if left:
        return f"left behind: {left}"
    # Other commands of this user may be killed at the same time: what they leave is swept when the next one begins.
    remains = [
        name for name in os.listdir(scratch.place()) if name.count(".") == 3 and int(name.partition(".")[0]) in scene.started
    ]
    return f"left among temporary files: {remains}" if remains else ""
