"""Processes that a worker has started and left behind: none outlives it.

A process group is not enough: a child may leave it. So every worker has a mark in its environment, which its children
inherit, and the command adopts what its workers orphan (prctl(2), PR_SET_CHILD_SUBREAPER), whatever their environment is.
What a command that was killed itself has left is ended when the next one begins.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

MARK = "ATTENTION_HARNESS_WORKER"

_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 20
"""What is ended may have children of its own, and these appear as ours only then."""

_COUNT = itertools.count()
_adopting = False


def new_mark() -> str:
    """A mark for a worker of this process: who owns it, where its number counts, and which of its workers it is."""
    return f"{owner(os.getpid())}.{_namespace()}.{next(_COUNT)}"


def owner(pid: int) -> str:
    """What tells a process from a later one with the same number: the number, and when it started (proc(5))."""
    return f"{pid}.{_stat(pid)[19]}"


def adopt() -> None:
    """Become the parent of what workers orphan. For a command, whose children are all its own.

    Where a shell has started others and then become this command, they are not, and nothing is adopted.
    """
    global _adopting
    if sys.platform == "linux" and not _children():
        _adopting = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def end(mark: str, own: Collection[int]) -> None:
    """End every process with a mark and, where this process adopts, its children that are not its `own`."""
    for _ in range(_ROUNDS):
        found = {pid for pid, marked in _marked() if marked == mark} | (_children() - set(own) if _adopting else set())
        if not found:
            return
        for pid in found:
            _kill(pid)


def sweep() -> None:
    """End what the workers of commands that were killed have left behind."""
    for pid, mark in _marked():
        if is_gone(mark):
            _kill(pid)


def is_gone(mark: str) -> bool:
    """Whether the command with a worker of that mark has ended. Of one in another container nobody here can tell."""
    pid, _, rest = mark.partition(".")
    namespace = rest.partition(".")[2].partition(".")[0]
    if not pid.isdigit() or namespace != str(_namespace()):
        return False
    return not mark.startswith(f"{_owner_or_none(int(pid))}.")


def _namespace() -> int:
    """Of this process's numbers (pid_namespaces(7)): in another one the same number is another process."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _owner_or_none(pid: int) -> str | None:
    """The owner that has this number; one that has ended and that nobody has waited for is none any more."""
    try:
        return None if _stat(pid)[0] in "ZX" else owner(pid)
    except OSError:
        return None


def _marked() -> Iterator[tuple[int, str]]:
    """The processes with a mark that this user may look at, and their marks."""
    start = f"{MARK}=".encode()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                variables = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            for variable in variables:
                if variable.startswith(start):
                    yield int(name), variable[len(start) :].decode(errors="replace")


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= {int(pid) for pid in (task / "children").read_text(encoding="utf-8").split()}
        except (OSError, ValueError):
            continue
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        if pid in _children():
            os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError, PermissionError):
        pass


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
