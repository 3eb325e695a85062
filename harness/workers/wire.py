"""What passes between a process and its worker: messages, each a mark, a length and a pickle.

Foreign code lives in the worker's process and can write into its socket, by mistake or not. So the parent reads by a
deadline and up to a limit, and unpickles nothing but what replies are made of: data classes, enumerations and tuples of this
package and of modules that it has imported itself, NumPy's arrays, and Python's own values.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import io
import os
import pickle
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from harness.errors.text import said_by

MOST_BYTES = 2**32
"""Of a message: more than the outputs of any problem that is verified whole."""

FIRST_LOOK_S, NEXT_LOOK_S = 1.0, 0.2
"""After how long a wait is interrupted to look at the other end for the first time, and then again."""

_HEAD = struct.Struct("!4sQ")
_MARK = b"atn1"
_PIECE = 2**20

_PLAIN = {
    ("builtins", name) for name in ("complex", "set", "frozenset", "slice", "range", "bytearray")
} | {
    ("collections", "OrderedDict"), ("collections", "deque"),
    ("pathlib", "Path"), ("pathlib", "PosixPath"), ("pathlib._local", "PosixPath"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("ml_dtypes", "bfloat16"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}  # fmt: skip
"""What makes Python's own values and NumPy's arrays, those of bfloat16 too, and does nothing else."""


class GarbledError(Exception):
    """What came is no message."""


class Wire:
    """One end of the socket pair. The worker's trusts what its parent sends; the parent's trusts nothing."""

    def __init__(self, end: socket.socket, process: int | None = None):
        """The parent's end has the worker's `process`, a descriptor of pidfd_open(2): once it has ended nothing more comes,
        whoever else holds its socket."""
        self._end, self._process = end, process
        self._meanwhile: Callable[[], None] | None = None
        self._next_look = 0.0

    @property
    def closed(self) -> bool:
        """Whether this end was closed."""
        return self._end.fileno() < 0

    def close(self) -> None:
        """Hang up."""
        self._end.close()
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def send(self, message: Any, timeout_s: float | None = None) -> None:
        """Send a message. Raises `TimeoutError` where the other end does not read it, and `OSError` where it is gone."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._end.settimeout(timeout_s)
        try:
            self._end.sendall(_HEAD.pack(_MARK, len(data)))
            self._end.sendall(data)
        finally:
            if not self.closed:
                self._end.settimeout(None)

    def receive(self, timeout_s: float | None = None, meanwhile: Callable[[], None] | None = None) -> Any:
        """The next message, whole by then. `meanwhile` is called now and again where it takes long; what it raises ends the
        wait.

        Raises `TimeoutError` when it is not, `EOFError` when the other end has hung up, and `GarbledError` for anything that
        is no message.
        """
        self._meanwhile, self._next_look = meanwhile, time.monotonic() + FIRST_LOOK_S
        until = None if timeout_s is None else time.monotonic() + timeout_s
        mark, length = _HEAD.unpack(self._read(_HEAD.size, until))
        if mark != _MARK or length > MOST_BYTES:
            raise GarbledError("what it sent is no message")
        data = self._read(length, until)
        if self._process is None:
            return pickle.loads(data)
        try:
            return _Replies(io.BytesIO(data)).load()
        except Exception as error:  # Of pickle's, and of the constructors of what it was given.
            raise GarbledError(f"what it sent cannot be read: {said_by(error) or type(error).__name__}") from None

    def _read(self, count: int, until: float | None) -> bytes:
        data = bytearray()  # Grows with what comes, and not with what was announced.
        while len(data) < count:
            self._wait(until)
            piece = self._end.recv(min(_PIECE, count - len(data)))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def _wait(self, until: float | None) -> None:
        """Wait until something can be read. By poll(2): select(2) knows no descriptors above 1,023."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        if self._process is not None:
            poll.register(self._process, select.POLLIN)
        ready: set[int] = set()
        while not ready:
            now = time.monotonic()
            if until is not None and now > until:
                raise TimeoutError
            if self._meanwhile is not None and now > self._next_look:
                self._meanwhile()
                self._next_look = now + NEXT_LOOK_S
            ends = [one for one in (until, self._next_look if self._meanwhile else None) if one is not None]
            ready = {found for found, _ in poll.poll(1000 * max(0.0, min(ends) - now) + 1 if ends else None)}
        if self._end.fileno() not in ready:
            raise EOFError


class _Replies(pickle.Unpickler):
    """Reads what replies are made of; imports nothing but modules of this package."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        own = module.startswith("harness.") and not module.endswith("__main__")
        found = getattr(importlib.import_module(module) if own else sys.modules.get(module), name, None)
        if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, enum.Enum | tuple)):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a reply")
