"""The parent's end of a worker: start it, ask it, and know how it died."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import Status
from harness.errors.text import lines, one_line
from harness.workers import caches, scratch, strays
from harness.workers.failure import OUT_OF_MEMORY
from harness.workers.messages import Failed, Ready, Request, Start
from harness.workers.watch import OverLimitError, Watch
from harness.workers.wire import GarbledError, Wire

MOST_PRINTED = 2000
"""Characters of what a process has printed that a record keeps."""

LAST_LINES, LAST_CHARACTERS = 5, 400
"""Of a dead worker's output, what its reason quotes at most."""

QUIET_SHARE = 0.05
"""A worker counts as asleep when it uses less than this share of one core."""

_ALIVE: set[int] = set()
"""The numbers of the workers of this process."""
_STARTING = threading.Lock()
"""Held while one is started: until its number is known it would be taken for a stray."""

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
        # It is cut while it is written to, and what follows belongs to its end.
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        self._mark = strays.new_mark()
        self._read_to = 0
        self._unread = ""
        self._kernel_kills = _kernel_kills()
        ours, theirs = socket.socketpair()
        with theirs, _STARTING:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.workers.child", str(theirs.fileno())],
                env={
                    **os.environ,
                    **caches.environment(),
                    **scratch.environment(self._mark),
                    "PYTHONPATH": paths,
                    **environment,
                    strays.MARK: self._mark,
                },
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the parent's to handle, and a kill reaches the whole group.
            )
            self.pid = self._process.pid
            _ALIVE.add(self.pid)
        self._wire = Wire(ours, os.pidfd_open(self.pid))
        self._watch = Watch(self.pid, start.memory_bytes, self._log.fileno())
        self._timeout_s = timeout_s
        self._ready: Ready | Failed | None = None
        self._paused = False
        with contextlib.suppress(OSError):  # Where it is gone already, or stuck: `wait_until_ready` says so.
            self._wire.send(start, timeout_s)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close() if kind is None else self.kill()

    def wait_until_ready(self) -> Ready | Failed:
        """What came of opening the session."""
        if self._ready is None:
            self._ready = self._answer("loading", Ready, self._timeout_s)
        return self._ready

    @property
    def opening_s(self) -> float:
        """Processor time that starting the process and opening its session took, imports included; 0 before."""
        return self._ready.processor_s if isinstance(self._ready, Ready) else 0.0

    @property
    def alive(self) -> bool:
        """Whether the worker can still be asked."""
        return not self._wire.closed

    def resident_bytes(self) -> int:
        """Resident memory of the process; 0 once it is gone."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0

    def printed(self) -> str:
        """The last of what the process has printed since this was asked before."""
        if not self._log.closed:
            # Not by its own file position, which the process shares. It was cut where it is shorter than what was read.
            if os.fstat(self._log.fileno()).st_size < self._read_to:
                self._read_to = 0
            text = os.pread(self._log.fileno(), 2**20, self._read_to)
            self._read_to += len(text)
            self._unread += text.decode(errors="replace")
        unread, self._unread = self._unread[-MOST_PRINTED:], ""
        return "\n".join(line for line in lines(unread) if line)

    def ask(self, request: Request, timeout_s: float) -> Any:
        """Send a request and wait for the reply. A worker that is late is killed; one that died is a `Failed` too."""
        ready = self.wait_until_ready()
        if isinstance(ready, Failed):
            return ready
        self._continue()
        try:
            self._wire.send(request, timeout_s)
        except TimeoutError:
            return self._late(request.STEP, timeout_s)
        except OSError:
            return self._exit_reason()
        return self._answer(request.STEP, request.REPLY, timeout_s)

    def _answer(self, step: str, kind: type, timeout_s: float) -> Any:
        try:
            reply = self._wire.receive(timeout_s, self._watch.look)
            self._watch.look()
        except OverLimitError as error:
            self.kill()
            return Failed(Status.OUT_OF_MEMORY, str(error))
        except TimeoutError:
            return self._late(step, timeout_s)
        except GarbledError as error:
            self.kill()
            return Failed(Status.CRASHED, f"{step}: {error}; something wrote into the socket of the process")
        except (EOFError, OSError):
            return self._exit_reason()
        if isinstance(reply, Failed):
            return dataclasses.replace(reply, status=Status(reply.status), reason=one_line(str(reply.reason)))
        if not isinstance(reply, kind):
            self.kill()
            return Failed(Status.CRASHED, f"{step} was answered by a {type(reply).__name__} in place of a {kind.__name__}")
        return reply

    def _late(self, step: str, timeout_s: float) -> Failed:
        self.kill()
        return Failed(Status.TIMEOUT, f"no answer within {timeout_s:g} s; {step} was stopped")

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
        self._wire.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def terminate(self) -> None:
        """End the process, from another thread than the one that asks it: that one is told how it ended."""
        self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the worker and whatever it started, at once."""
        if self._log.closed:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        with _STARTING:
            _ALIVE.discard(self.pid)
            strays.end(self._mark, _ALIVE)
        self._watch.tidy()
        scratch.remove(self._mark)
        self._wire.close()
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
        last = lines(os.pread(self._log.fileno(), 4096, max(0, size - 4096)).decode(errors="replace"))
        said = " / ".join([line.strip() for line in last if line.strip()][-LAST_LINES:])
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
