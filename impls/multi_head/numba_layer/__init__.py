"""The layer in Numba: matrix products and fused attention from the same micro-kernels.

    gradients -> layer -> products -> gemm -> packing -> operands

`numba_flash` is used as a library: its micro-kernels, its threads, its passes.
"""

from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import Differentiable, implementation


@implementation("numba", operator=MULTI_HEAD, framework="numba", supports=EVERYTHING)
def numba_layer(problem: Problem):
    """Products and attention on vector micro-kernels, weights packed beforehand. Van Zee, van de Geijn 2015; Dao 2023."""
    from .gradients import Gradients
    from .layer import Layer

    def load(**weights):
        layer = Layer(problem, weights)
        if problem.direction == "forward":
            return layer.forward
        gradients = Gradients(layer, weights)
        return Differentiable(gradients.forward, gradients.backward)

    return load
