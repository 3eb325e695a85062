"""One function on every thread, given its address: on PyTorch's threads where they are (`openmp`), else on Numba's.

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
from numba import carray
from numba.core import types
from numba.extending import intrinsic

from .call import CALL, COUNTERS
from .llvm import CACHE_LINE, INT32, INTP
from .openmp import OpenMP, of_pytorch
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


@intrinsic
def _ask(typing, function):
    """The number that the C function without arguments at an address returns."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(INT32, [])
        return builder.sext(builder.call(builder.inttoptr(values[0], kind.as_pointer()), []), INTP)

    return types.intp(types.intp), generate


@intrinsic
def _fork(typing, parallel, function, data, threads):
    """Call GOMP_parallel, which is at an address."""

    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [INTP, INTP, INT32, INT32])
        counts = builder.trunc(values[3], INT32), ir.Constant(INT32, 0)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [values[1], values[2], *counts])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@numba.njit
def _prepare(call, memory, work, threads):
    call[_WORKSPACE] = (memory.ctypes.data + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
    call[_STATES] = call[_WORKSPACE] + work * threads
    for n in range(COUNTERS, call.size):
        call[n] = 0


def _compiled(sources):
    @numba.njit(parallel=True, cache=True)
    def launch(function, call, memory, work, threads):
        _ = sources  # Part of the cache's key.
        _prepare(call, memory, work, threads)
        arguments = call.ctypes.data
        for thread in numba.prange(threads):
            _call(function, arguments, thread)

    return launch


def _compiled_with_openmp(sources):
    @numba.njit(cache=True)
    def launch(addresses, function, call, memory, work, threads):
        _ = sources  # Part of the cache's key.
        _prepare(call, memory, work, threads)
        team = np.array([function, np.int64(call.ctypes.data), threads, addresses[2], addresses[3]])
        _fork(addresses[0], addresses[1], team.ctypes.data, threads)
        return team[2]  # Its memory lives until it is used last.

    return launch


_launch, _launch_with_openmp = (make(digest(make.__name__)) for make in (_compiled, _compiled_with_openmp))


@cache
def _member() -> int:
    """The address of what each thread of a team runs: its share of the numbers below `threads`, all where it is alone."""
    sources = digest("member")

    def member(team):
        _ = sources
        words = carray(team, 5)
        for thread in range(_ask(words[3]), words[2], _ask(words[4])):
            _call(words[0], words[1], thread)

    compiled = numba.cfunc(types.void(types.CPointer(types.intp)), cache=True)(member)
    _kept.append(compiled)
    return compiled.address


@cache
def _addresses(found: OpenMP) -> np.ndarray:
    """What `launch` is given of a runtime."""
    return np.array([found.parallel, _member(), found.thread_num, found.num_threads])


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
    openmp = of_pytorch()
    for number, (task, kinds) in enumerate(passes):
        call[_PASS_NUMBER] = number
        function = _compiled_for(task, kinds)
        if openmp is None:
            _launch(function, call, memory, work, threads)
        else:
            _launch_with_openmp(_addresses(openmp), function, call, memory, work, threads)
