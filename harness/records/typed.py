"""Whether what was read from a file has the types that its data class declares: JSON has only a few, and none is checked."""

from __future__ import annotations

import dataclasses
import functools
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

Record = TypeVar("Record")


def checked(value: Record) -> Record:
    """The same. Raises `TypeError` unless every field of a data class, and of those in it, is of its declared type.

    A whole number will do for a float, and is none that a float cannot hold. Of mappings and tuples the items are looked
    at, too.
    """
    of: type = type(value)
    for name, kind in _fields(of):
        if not _is(getattr(value, name), kind):
            raise TypeError(f"{name} is {reprlib.repr(getattr(value, name))}")
    return value


@functools.cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def is_whole(value: Any) -> bool:
    """Whether it is a whole number that can be divided by another: JSON has them of any length."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is(value: Any, kind: Any) -> bool:
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_is(value, one) for one in of)
    if origin is tuple:
        kinds = of[:1] * len(value) if isinstance(value, tuple) and of[1:] == (...,) else of
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is, value, kinds))
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_is(k, of[0]) and _is(v, of[1]) for k, v in value.items())
    if kind is float:
        return isinstance(value, float) or is_whole(value)
    if kind is int:
        return is_whole(value)
    if kind is None or kind is types.NoneType:
        return value is None
    if not isinstance(value, origin or kind):
        return False
    if dataclasses.is_dataclass(kind):
        checked(value)
    return True
