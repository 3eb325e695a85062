"""What a kind of attack is, and where it is carried out."""

import atexit
import contextlib
import functools
import importlib
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

TIMEOUT_S = 120.0

IMPORTED_LATE = (
    "harness.analysis.table", "harness.cli", "harness.conformance.checking", "harness.measure.plan",
    "harness.report.markdown", "harness.report.plots", "harness.report.terminal", "harness.runs.request", "scipy.stats",
)  # fmt: skip
"""What commands import when they need it: with it in the process that forks, a fork need not."""

MOST_BYTES = 2**34
"""Of address space: an attack on a command must not be one on the machine."""


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def whole(self) -> str:
        """For a finding."""
        return f"exit status {self.status}; {self.out[-300:]!r}; {self.err[-600:]!r}"


class Scene:
    """An empty folder in which commands are run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: set[int] = set()
        """Processes of its commands."""

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def names(self) -> list[str]:
        """Everything that is in it, but for what Python itself keeps of a file that it has imported."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        return sorted(str(path) for path in found if "__pycache__" not in path.parts)

    def start(self, *arguments: object, **options: object) -> subprocess.Popen:
        """Start the command as a user does."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **options.pop("environment", {})}  # type: ignore
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            text=True,
            errors="replace",
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **options},
        )
        self.started.add(process.pid)
        return process

    def run(self, *arguments: object, timeout_s: float = TIMEOUT_S, **options: object) -> Done:
        """Run it to its end; -1 is the status of one that has not come to it."""
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return Done(-1, out or "", f"it did not end within {timeout_s:g} s; {err}")
        return Done(process.returncode, out or "", err or "")

    def call(self, *arguments: object) -> Done:
        """The same command in a fork of this process, which takes hundredths of a second: for thousands of attacks."""
        import_all()
        sys.stdout.flush()
        sys.stderr.flush()
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out,
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as err,
        ):
            pid = os.fork()
            if not pid:
                _called(self.folder, [str(one) for one in arguments], out, err)
            status = _waited(pid)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
        return Done(status, *texts)


@functools.cache
def import_all(*others: str) -> None:
    """Import `IMPORTED_LATE` and others."""
    for name in (*IMPORTED_LATE, *others):
        importlib.import_module(name)


def _called(folder: Path, arguments: list[str], out: io.TextIOBase, err: io.TextIOBase) -> None:
    status = 99
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - until it exits
        os.chdir(folder)
        from harness.cli import main

        status = main(arguments)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _waited(pid: int) -> int:
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1


class NotHereError(Exception):
    """The attack cannot be carried out on this machine; the message says why."""


Attack = Callable[[Scene, random.Random], str]
"""Carries out one attack, drawn at random, and says what got through; "" where nothing did."""


@dataclass(frozen=True)
class Kind:
    """A kind of attack."""

    name: str
    promise: str
    """What holds whatever is done."""
    attack: Attack
    share: float = 1.0
    """Of the time that all kinds have."""
    in_ci: int = 5
    """How many the suite carries out."""
    each: int = 1
    """What one of them counts for: how much it tries."""


def kept_scene() -> Scene:
    """An empty folder for what is made once, removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="attack-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Scene(folder)


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """An empty folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        yield Scene(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refused(done: Done, scene: Scene, before: list[str]) -> str:
    """One sentence, status 2, nothing made; or what was instead."""
    lines = done.err.strip().splitlines()
    if done.status != 2 or len(lines) != 1 or not lines[0].startswith("harness: ") or "Traceback" in done.out:
        return f"it was not refused in one sentence: {done.whole}"
    if scene.names() != before:
        return f"it made {sorted(set(scene.names()) - set(before))[:5]}"
    return ""


def orderly(done: Done) -> str:
    """No traceback, and a status that says what happened; or what was instead."""
    if "Traceback" in done.out + done.err or done.status not in (0, 1, 2, 129, 130, 131, 143):
        return f"it did not end in good order: {done.whole}"
    if done.status == 2 and len(done.err.strip().splitlines()) != 1:
        return f"it did not say what is wrong in one sentence: {done.whole}"
    return ""
