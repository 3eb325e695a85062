"""One function on every thread: Numba's threads, given an address instead of a function.

A function with `prange` compiles everything it calls once more for its threads, several times over. This one calls by
address, is compiled once for all kernels, and they are compiled as they would be for one thread.
"""

from functools import cache

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


_launch = _compiled(digest())


def _worker(task, one, sources):
    @numba.cfunc("void(intp, intp)", cache=True, error_model="numpy")
    def worker(arguments, thread):
        _ = sources
        task(arguments, thread, one)

    return worker


@cache
def _compiled_for(task, kind: str):
    return _worker(task, np.dtype(kind).type(1), digest())


def run(task, kind: str, arrays: list[np.ndarray], threads: int) -> None:
    """`task(addresses of the arrays, thread, a number of the dtype to compute with)` on so many threads at once."""
    addresses = np.array([array.ctypes.data for array in arrays], np.int64)
    _launch(_compiled_for(task, kind).address, addresses.ctypes.data, threads)


def aligned(count: int) -> np.ndarray:
    """So many bytes from a multiple of 64 on."""
    raw = np.empty(count + 64, np.uint8)
    return raw[-raw.ctypes.data % 64 :]
