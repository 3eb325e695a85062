"""Errors whose message is one sentence for the user."""

from __future__ import annotations

import traceback
from pathlib import Path

from harness.errors.text import one_line, said_by

_PACKAGE = Path(__file__).parents[1]


class UserError(ValueError):
    """What a user asked for cannot be done; the message is one sentence: what was wrong, what was expected, what to type."""


class Unavailable(RuntimeError):
    """A framework or its device cannot be used here; the message is the reason."""


def describe(error: BaseException) -> str:
    """An exception as one line: its type, its message, and where in the plug-in it was raised.

    A `UserError` is a sentence already: it is told without its type, and its place is outside this package.
    """
    message = said_by(error)
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    told = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, UserError):
        told, frames = (
            message,
            [frame for frame in frames if frame[0].exists() and _PACKAGE not in frame[0].parents],
        )
    return f"{told} ({one_line(frames[-1][0].name)}, line {frames[-1][1]})" if frames else told
