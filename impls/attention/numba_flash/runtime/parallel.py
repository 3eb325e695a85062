"""One function on every thread: Numba's threads, given an address instead of a function.

A function with `prange` compiles everything it calls once more for its threads, several times over. This one calls by
address, is compiled once for all kernels, and they are compiled as they would be for one thread.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .call import CALL, COUNTERS
from .llvm import CACHE_LINE, INTP
from .sources import digest


@intrinsic
def _call(typing, function, arguments, thread):
    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [INTP, INTP])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


_WORKSPACE, _STATES, _PASS_NUMBER = (CALL.word(name) for name in ("workspace", "states", "pass_number"))


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
"""Compiled functions, which are gone from memory with the last reference to them."""


@cache
def _compiled_for(entry: Callable, kinds: tuple[type, type | None]) -> int:
    """The address of the C function of a task.

    `task(arguments, thread, kind, stored)` gets the address of the array of a call, and a 1 of each kind for the sake of its
    type. Where the second is None, Numba leaves out what is behind `if stored is not None` before it compiles.

    The task is a global variable of the function and not enclosed by it, as Numba's key of what is enclosed would be another
    in every process.
    """
    name = f"{entry.__module__}.{entry.__qualname__}"
    key, kind, stored = digest(name), kinds[0](1), kinds[1](1) if kinds[1] else None

    def worker(arguments, thread):
        _ = key
        task(arguments, thread, kind, stored)  # noqa: F821

    alone = FunctionType(worker.__code__, {**globals(), "task": entry}, "worker", None, worker.__closure__)
    compiled = numba.cfunc("void(intp, intp)", cache=True, error_model="numpy")(alone)
    _kept.append(compiled)
    return compiled.address


Pass = tuple[Callable, tuple[type, type | None]]
"""A task, and the types that it is compiled for: see `_compiled_for`."""


def run(passes: list[Pass], call: np.ndarray, work: int, states: int, threads: int) -> None:
    """Tasks one after the other, each on so many threads at once, with workspaces of `work` bytes and `states` bytes more.

    `call` is an array as `operands` has it, and each pass (task, the types it computes with).
    """
    memory = np.empty(work * threads + states + CACHE_LINE, np.uint8)
    for number, (task, kinds) in enumerate(passes):
        call[_PASS_NUMBER] = number
        _launch(_compiled_for(task, kinds), call, memory, work, threads)
