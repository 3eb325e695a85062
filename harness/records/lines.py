"""Lines of a journal: an object of JSON each, with a checksum of the rest of the line as its first member.

A byte that a disk or a hand has changed would otherwise be data as good as any: 5e-05 seconds and 5e-55 differ by one.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.records.strict_json import dumps

CHECKSUM = "crc32"

_SEALED = re.compile(rb'\{"crc32": "([0-9a-f]{8})", ')


class DamagedError(ValueError):
    """A line that is not what was written."""


def sealed(data: Mapping[str, Any]) -> str:
    """An object with at least one member as a line, without its end."""
    text = dumps(data)
    return f'{{"{CHECKSUM}": "{zlib.crc32(text.encode()):08x}", {text[1:]}'


def opened(line: bytes) -> dict[str, Any]:
    """The object of a line. One without a checksum was written by an earlier version.

    Raises `DamagedError` where it is no object, or not the one that was written.
    """
    text = line.rstrip(b"\r\n")
    if found := _SEALED.match(text):
        text = b"{" + text[found.end() :]
        if f"{zlib.crc32(text):08x}".encode() != found[1]:
            raise DamagedError("its checksum is another")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedError("it is not JSON") from None
    if not isinstance(data, dict) or not data or CHECKSUM in data:
        raise DamagedError("it is no record")
    return data


def add_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to a file, behind half a line that a kill may have left.

    Raises `UserError` when they cannot be written; half of them are then taken back.
    """
    try:
        with path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            begin = b"" if file.read(1) in (b"", b"\n") else b"\n"
            try:
                file.write(begin + "".join(f"{sealed(line)}\n" for line in lines).encode())
                file.flush()
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
