"""What the fields of a problem may be, in a sentence each."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

from harness.errors import UserError

MOST = 2**31 - 1
"""Of a size: what frameworks count with."""


def check_size(field: str, value: Any, least: int = 0) -> None:
    """Raise `UserError` unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{field} must be a whole number, not {reprlib.repr(value)}")
    if value < least:
        raise UserError(f"{field} must be at least {least}, not {value}")
    if value > MOST:
        raise UserError(f"{field} must be at most {MOST:,}, not {reprlib.repr(value)}")


def check_choice(field: str, value: Any, known: Sequence[Any]) -> None:
    """Raise `UserError` unless the value is one of those that are known."""
    if not any(type(value) is type(one) and value == one for one in known):
        raise UserError(f"{field} must be one of {', '.join(map(str, known))}, not {reprlib.repr(value)}")
