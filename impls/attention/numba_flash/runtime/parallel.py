"""One function on every thread: Numba's threads, given the address of a function.

A function with `prange` compiles everything it calls once more for its threads, several times over. This one calls by
address and is compiled once for all kernels, and they are compiled as they would be for one thread.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .call import CALL, COUNTERS
from .llvm import CACHE_LINE, INTP
from .sources import digest

_WORKSPACE, _STATES, _PASS_NUMBER = (CALL.word(name) for name in ("workspace", "states", "pass_number"))


@intrinsic
def _call(typing, function, arguments, thread):
    """Call the function at an address."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [INTP, INTP])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def _compiled(sources):
    @numba.njit(parallel=True, cache=True)
    def launch(function, call, memory, work, threads):
        _ = sources  # Part of the cache's key.
        arguments = call.ctypes.data
        call[_WORKSPACE] = (memory.ctypes.data + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
        call[_STATES] = call[_WORKSPACE] + work * threads
        for n in range(COUNTERS, call.size):
            call[n] = 0
        for thread in numba.prange(threads):
            _call(function, arguments, thread)

    return launch


_launch = _compiled(digest("launch"))

_kept: list[object] = []
"""Compiled functions, whose code lives as long as a reference to them."""


@cache
def _compiled_for(task: Callable, kinds: tuple[type, type | None]) -> int:
    """The address of the C function of a task, `task(arguments, thread, kind, stored)`.

    `arguments` is the address of the array of a call. `kind` and `stored` are a 1 of each type in `kinds`; where the second
    is None, Numba drops the branches `if stored is not None` before it compiles.

    The task is a global variable of the C function and not enclosed by it: Numba's cache key of an enclosed function differs
    from process to process.
    """
    folder = Path(sys.modules[task.__module__].__file__).parent
    key = digest(f"{task.__module__}.{task.__qualname__}", folder)
    kind, stored = kinds[0](1), kinds[1](1) if kinds[1] else None

    def worker(arguments, thread):
        _ = key
        TASK(arguments, thread, kind, stored)  # noqa: F821

    alone = FunctionType(worker.__code__, {**globals(), "TASK": task}, "worker", None, worker.__closure__)
    compiled = numba.cfunc("void(intp, intp)", cache=True, error_model="numpy")(alone)
    _kept.append(compiled)
    return compiled.address


Pass = tuple[Callable, tuple[type, type | None]]
"""A task, and the types that it is compiled for: see `_compiled_for`."""


def run(passes: list[Pass], call: np.ndarray, work: int, states: int, threads: int) -> None:
    """Run tasks one after the other, each on all threads, with `work` bytes for each thread and `states` bytes for all.

    `call` is the array of a call (`runtime.call`).
    """
    memory = np.empty(work * threads + states + CACHE_LINE, np.uint8)
    for number, (task, kinds) in enumerate(passes):
        call[_PASS_NUMBER] = number
        _launch(_compiled_for(task, kinds), call, memory, work, threads)
