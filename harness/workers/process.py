"""The parent's end of a worker: start it, ask it, and know how it died."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.errors import Status
from harness.workers.failure import OUT_OF_MEMORY
from harness.workers.messages import Failed, Ready, Request, Start

MOST_PRINTED = 2000
"""Characters of what a process has printed that a record keeps."""

LAST_LINES, LAST_CHARACTERS = 5, 400
"""Of a dead worker's output, what its reason quotes at most."""

QUIET_SHARE = 0.05
"""A worker counts as asleep when it uses less than this share of one core."""

_QUIET_WINDOW_S = 0.005
_QUIET_PATIENCE_S = 0.5


class Worker:
    """A child process and the conversation with it. Use as a context manager, or `close` it."""

    def __init__(self, start: Start, environment: Mapping[str, str], timeout_s: float):
        """Start the process with some variables of the environment set; `wait_until_ready` says whether it has loaded.

        The thread that starts it must outlive it: that thread's end is what the kernel takes for the parent's death.
        """
        paths = os.pathsep.join(dict.fromkeys([*_own_paths(), os.environ.get("PYTHONPATH", "")]))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._read_to = 0
        self._unread = ""
        self._kernel_kills = _kernel_kills()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.workers.child", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": paths, **environment},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the parent's to handle, and a kill reaches the whole group.
            )
        self._connection = Connection(ours.detach())
        self.pid = self._process.pid
        self._timeout_s = timeout_s
        self._ready: Ready | Failed | None = None
        self._paused = False
        self._connection.send(start)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_until_ready(self) -> Ready | Failed:
        """What came of opening the session."""
        if self._ready is None:
            self._ready = self._answer("loading", self._timeout_s)
        return self._ready

    @property
    def opening_s(self) -> float:
        """Processor time that starting the process and opening its session took, imports included; 0 before."""
        return self._ready.processor_s if isinstance(self._ready, Ready) else 0.0

    @property
    def alive(self) -> bool:
        """Whether the worker can still be asked."""
        return not self._connection.closed

    def resident_bytes(self) -> int:
        """Resident memory of the process; 0 once it is gone."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0

    def printed(self) -> str:
        """The last of what the process has printed since this was asked before."""
        if not self._log.closed:
            # Not by its own file position, which the process shares.
            text = os.pread(self._log.fileno(), 2**20, self._read_to)
            self._read_to += len(text)
            self._unread += text.decode(errors="replace")
        unread, self._unread = self._unread[-MOST_PRINTED:].strip(), ""
        return unread

    def ask(self, request: Request, timeout_s: float) -> Any:
        """Send a request and wait for the reply. A worker that is late is killed; one that died is a `Failed` too."""
        ready = self.wait_until_ready()
        if isinstance(ready, Failed):
            return ready
        self._continue()
        try:
            self._connection.send(request)
        except OSError:
            return self._exit_reason()
        return self._answer(request.STEP, timeout_s)

    def _answer(self, step: str, timeout_s: float) -> Any:
        try:
            if not self._connection.poll(timeout_s):
                self.kill()
                return Failed(Status.TIMEOUT, f"no answer within {timeout_s:g} s; {step} was stopped")
            return self._connection.recv()
        except (EOFError, OSError):
            return self._exit_reason()

    def wait_until_idle(self) -> bool:
        """Wait until the worker has stopped using the processor, thread pools included; False if it never does.

        Pools spin for a while after their last task, on the cores that the next worker needs. Reading the process's own
        clock says when that has ended.
        """
        clock = process_clock(self.pid)
        deadline = time.perf_counter() + _QUIET_PATIENCE_S
        while time.perf_counter() < deadline:
            try:
                before, start = time.clock_gettime(clock), time.perf_counter()
                time.sleep(_QUIET_WINDOW_S)
                used, passed = time.clock_gettime(clock) - before, time.perf_counter() - start
            except OSError:  # It has died; the next request will find out how.
                return True
            if used < QUIET_SHARE * passed:
                return True
        return False

    def pause(self) -> None:
        """Stop the process and whatever it started, so that it uses no processor at all until it is asked again."""
        if not self.alive:  # Its number may be another's by now.
            return
        self._signal(signal.SIGSTOP)
        with contextlib.suppress(ChildProcessError):  # It has ended, and was waited for.
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._paused = True

    def _continue(self) -> None:
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # It has died; the next request will find out how.
            pass

    def close(self) -> None:
        """Hang up, and end the process if it does not end by itself."""
        self._continue()
        if not self._connection.closed:
            self._connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        if not self._connection.closed:
            self._connection.close()
        self._unread = self.printed()
        self._log.close()

    def _exit_reason(self) -> Failed:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
            return Failed(Status.CRASHED, "closed its connection without ending")
        said = self._last_lines()
        self.kill()
        if code == -signal.SIGKILL and _kernel_kills() > self._kernel_kills:
            return Failed(Status.OUT_OF_MEMORY, "the kernel ended the process for want of memory")
        if OUT_OF_MEMORY.search(said):
            return Failed(Status.OUT_OF_MEMORY, f"{_ending(code)}; it last printed: {said}")
        return Failed(Status.CRASHED, f"{_ending(code)}; it last printed: {said}" if said else _ending(code))

    def _last_lines(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        lines = os.pread(self._log.fileno(), 4096, max(0, size - 4096)).decode(errors="replace").split("\n")
        said = " / ".join([line.strip() for line in lines if line.strip()][-LAST_LINES:])
        return said if len(said) <= LAST_CHARACTERS else "…" + said[-LAST_CHARACTERS:]


def process_clock(pid: int) -> int:
    """The clock that counts a process's processor time, all threads, in nanoseconds (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


def _own_paths() -> list[str]:
    """Where this process imports from beside the installation, so that the worker finds the same plug-ins."""
    installed = (sys.prefix, sys.base_prefix)
    return [os.path.abspath(path) for path in sys.path if not path.startswith(installed)]


def _ending(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"the process was ended by signal {-code} ({name})"


def _kernel_kills() -> int:
    """How many processes the kernel has ended for want of memory since it started (proc(5), vmstat)."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="utf-8").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
