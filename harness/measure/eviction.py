"""Throwing arrays out of the caches, so that a call finds its inputs where a model's other layers leave them: in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.frameworks.base import Framework
from harness.frameworks.cache_lines import evict

DEVICE_BYTES = 2**28
"""More than the last cache of any GPU, 50 MB on Hopper and 126 MB on Blackwell; Triton's `do_bench` writes as much."""


class Eviction:
    """On the CPU each line of the arrays is dropped; on a device other memory is written, more than its caches hold."""

    def __init__(self, framework: Framework):
        self._framework = framework
        self._write = framework.writer(DEVICE_BYTES) if framework.device != "cpu" else None

    def __call__(self, arrays: Iterable[Any]) -> None:
        """Throw the native arrays out."""
        if self._write is not None:
            self._write()
            return
        for array in arrays:
            evict(*self._framework.extent(array))
