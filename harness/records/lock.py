"""One owner of a folder at a time: two that go on with one run would measure everything twice, side by side."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError


@contextlib.contextmanager
def owned(path: Path) -> Iterator[None]:
    """Hold the lock on a file that is never replaced (flock(2)); it ends with the process, whatever ends that.

    Raises `UserError` when another process holds it, or it cannot be had.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path.parent} is in use by {_owner(descriptor)}; wait until it has ended") from None
        except OSError as error:
            raise UserError(f"cannot lock {path}: {error.strerror}") from None
        yield
    finally:
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    """Who holds the lock, as far as the kernel tells (proc(5), /proc/locks)."""
    inode = f":{os.fstat(descriptor).st_ino}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(inode):
                return f"process {words[4]}"
    return "another process"
