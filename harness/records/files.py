"""Files beside a record: written whole or not at all, and read only where they are files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from harness.errors import UserError

MOST_BYTES = 2**30
"""Of a file that is read whole."""


def read_whole(path: Path) -> bytes:
    """What is in a file. Raises `OSError` where there is none; a device, a pipe or a gigabyte is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        if status.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES >> 30} GiB", str(path))
        return file.read()


def write_whole(path: Path, text: str) -> Path:
    """Write a file, in place of what may be there. Raises `UserError` when it cannot be written.

    Half a character, such as Python makes of the bytes of a name that is not UTF-8, is written as its escape.
    """
    try:
        scratch = path.with_name(f".{path.name}.part")
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path
