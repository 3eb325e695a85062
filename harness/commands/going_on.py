"""What is said when a command ends before its end: how to go on."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def told_how_to_go_on(verb: str, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Whatever ends what is done here is passed on, once `say` has been told the command that goes on in the folder."""
    try:
        yield
    except BaseException as stop:
        ended = "Interrupted" if isinstance(stop, KeyboardInterrupt) else "Ended early"
        resume = f"python -m harness {verb} --resume {shlex.quote(str(folder))}"
        say(f"{ended}; nothing finished is lost. To go on: {resume}")
        raise
