"""Files of text beside a record, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError


def write_whole(path: Path, text: str) -> Path:
    """Write a file, in place of what may be there. Raises `UserError` when it cannot be written."""
    try:
        scratch = path.with_name(f".{path.name}.part")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path
