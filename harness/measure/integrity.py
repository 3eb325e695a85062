"""Whether the code that measures is still what it was before foreign code was loaded into the same process.

Python cannot keep one module out of another. What can be done is to notice: the functions, classes and modules that
measuring goes through are written down before an implementation is loaded, and compared after each turn.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import random
import sys
import time
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

import harness.frameworks

_OURS = (
    "harness.measure",
    "harness.plugins.bound_call",
    "harness.frameworks",
    "harness.operators.checks",
    "harness.workers",
)
_SYSTEM = (time, random, gc, np.random)


class Integrity:
    """Made before an implementation is loaded."""

    def __init__(self) -> None:
        for module in pkgutil.iter_modules(harness.frameworks.__path__, "harness.frameworks."):
            importlib.import_module(
                module.name
            )  # They import no framework, and a patch of one not yet imported would be missed.
        self._before = dict(_parts())

    def broken(self) -> str:
        """What has been replaced since, such as "time.perf_counter", or ""."""
        now = dict(_parts())
        return next((name for name, part in self._before.items() if now.get(name) != part), "")


def _parts() -> Iterator[tuple[str, Any]]:
    """(name, what it must remain) of everything that measuring goes through."""
    modules = [*_SYSTEM, *(module for name, module in sorted(sys.modules.items()) if name.startswith(_OURS))]
    for module in modules:
        for name, value in list(vars(module).items()):
            yield from _identity(f"{module.__name__}.{name}", value, own=module.__name__)


def _identity(name: str, value: Any, own: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, FunctionType):
        yield name, (id(value), id(value.__code__), value.__defaults__ and tuple(map(id, value.__defaults__)))
    elif isinstance(value, type):
        yield name, id(value)
        if value.__module__ == own and own.startswith(_OURS):
            for attribute, member in list(vars(value).items()):
                if isinstance(member, FunctionType | property | classmethod | staticmethod):
                    yield from _identity(f"{name}.{attribute}", member, own)
    elif isinstance(value, ModuleType) or callable(value) or isinstance(value, property | classmethod | staticmethod):
        yield name, id(value)
