"""One function on every thread: Numba's threads, given an address instead of a function.

A function with `prange` compiles everything it calls once more for its threads, several times over. This one calls by
address, is compiled once for all kernels, and they are compiled as they would be for one thread.
"""

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


def run(function: int, arguments: list[np.ndarray], threads: int) -> None:
    """Call the C function at an address as `function(arguments, thread)` on so many threads, and wait for them.

    It is given the addresses of the arrays, one after the other.
    """
    addresses = np.array([array.ctypes.data for array in arguments], np.int64)
    _launch(function, addresses.ctypes.data, threads)
