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

from impls.kernels.fused.simd import INTP
from impls.kernels.fused.sources import digest


@intrinsic
def _call(typing, function, arguments, thread):
    def generate(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [INTP, INTP])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def _compiled(sources):
    @numba.njit(parallel=True, cache=True)
    def launch(function, arguments, threads):
        _ = sources  # Part of the cache's key.
        for thread in numba.prange(threads):
            _call(function, arguments, thread)

    return launch


_launch = _compiled(digest("launch"))


@cache
def _compiled_for(entry: Callable, kinds: tuple[type, ...]):
    """The C function of a task; `task(arguments, thread, *ones)` gets a 1 of each kind, for the sake of its type.

    The task is a global variable of the function and not enclosed by it, as Numba's key of what is enclosed would be another
    in every process.
    """
    name = f"{entry.py_func.__module__}.{entry.py_func.__qualname__}"
    key, ones = digest(name), tuple(kind(1) for kind in kinds)

    def worker(arguments, thread):
        _ = key
        task(arguments, thread, *ones)  # noqa: F821

    alone = FunctionType(worker.__code__, {**globals(), "task": entry}, "worker", None, worker.__closure__)
    return numba.cfunc("void(intp, intp)", cache=True, error_model="numpy")(alone)


def run(task: Callable, kinds: tuple[type, ...], arrays: list[np.ndarray], threads: int) -> None:
    """`task(addresses of the arrays, thread, a 1 of each kind)` on so many threads at once."""
    addresses = np.array([array.ctypes.data for array in arrays], np.int64)
    _launch(_compiled_for(task, kinds).address, addresses.ctypes.data, threads)


def aligned(count: int) -> np.ndarray:
    """So many bytes from a multiple of 64 on."""
    raw = np.empty(count + 64, np.uint8)
    return raw[-raw.ctypes.data % 64 :]
