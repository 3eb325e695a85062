"""What a process and its worker say to each other, pickled over a socket pair, and what a worker serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from harness.errors import Status


@dataclass(frozen=True)
class Start:
    """First message to a worker: which session to open. Answered by `Ready` or `Failed`."""

    session: str
    """The class of the session, as "package.module:Class"."""
    arguments: tuple[Any, ...]
    """What it is made with."""
    threads: int
    """The worker keeps to this many of the CPUs that it may use."""
    memory_bytes: int
    """The worker may not allocate more than this; 0 for no limit."""


@dataclass(frozen=True)
class Ready:
    """The session is open."""

    found: Any
    """What the session says of itself."""
    processor_s: float = 0.0
    """Processor time that starting and opening took: imports run side by side, and share the wall clock."""


@dataclass(frozen=True)
class Request:
    """What a session is asked; each kind of request is a class of its own."""

    STEP: ClassVar[str] = "the request"
    """What is being done meanwhile, for the sentence of a timeout."""
    REPLY: ClassVar[type] = object
    """What it is answered by where nothing goes wrong."""


@dataclass(frozen=True)
class Failed:
    """What went wrong, in a status and a sentence."""

    status: Status
    reason: str


class Session(Protocol):
    """What a worker serves: opened with the arguments of `Start`, then asked."""

    @property
    def ready(self) -> Any:
        """What it says of itself once it is open."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        """What answers each kind of request. Whatever a handler raises becomes a `Failed`."""
