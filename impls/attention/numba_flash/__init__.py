"""Fused attention in Numba.

Five folders, each of which may import those after it and none before it:

    passes -> scores -> layout -> simd -> runtime

`attention.py` above them makes functions of arrays out of the passes.
"""

from harness.problem import Problem
from harness.registry import EVERYTHING, Differentiable, implementation


@implementation(
    "numba-flash", framework="numba", supports=EVERYTHING, tunables={"tile_keys": (64, 128, 256, 384, 512, 1024)}
)
def numba_flash(problem: Problem, tile_keys: int | None = None):
    """Fused, on vector micro-kernels; workspace of a few tiles a thread. Dao 2023, algorithms 1 and 2."""
    from .attention import Fused

    fused = Fused(problem, tile_keys=tile_keys)
    if problem.direction == "forward":
        return fused.forward

    def forward(q, k, v, mask=None, bias=None):
        softmax_state = fused.new_softmax_state()
        o = fused.forward(q, k, v, mask, bias, softmax_state)
        return o, (q, k, v, o, softmax_state, mask, bias)

    def backward(saved, do):
        q, k, v, o, softmax_state, mask, bias = saved
        return fused.backward(q, k, v, o, softmax_state, do, mask, bias)

    return Differentiable(forward, backward)
