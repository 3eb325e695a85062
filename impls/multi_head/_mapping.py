"""Weights carried over to libraries' layers, and what a library's fixed scale asks of them."""

import math


def factor_of(problem):
    """What W^Q and b^Q are multiplied by where a library's scale is always 1/√head_dim."""
    return problem.scale * math.sqrt(problem.head_dim)


def inexact_factor(problem):
    """A reason where that multiplication would round, or change the sign of what it cannot: [] where it is exact."""
    mantissa, _ = math.frexp(abs(factor_of(problem)))
    return (
        []
        if mantissa == 0.5
        else ["its scale is 1/√head_dim; only that times a power of two can be folded into W^Q exactly"]
    )


def bias_summed_in_bfloat16(problem):
    """A reason where a library sums the gradient of a bias over the positions in bfloat16 itself: [] elsewhere."""
    summed = problem.dtype == "bfloat16" and problem.direction == "backward" and problem.biases
    return ["on the CPU it sums the gradient of a bfloat16 bias in bfloat16"] if summed else []


def scaled(problem, weights):
    """The weights with that factor in W^Q and b^Q."""
    factor = factor_of(problem)
    return {name: a * factor if name in ("wq", "bq") and factor != 1 else a for name, a in weights.items()}


def matrix(name, weight):
    """A weight as the matrix that its input is multiplied by: heads side by side or, of W^O, one below the other."""
    return weight.reshape(-1, weight.shape[-1]) if name == "wo" else weight.reshape(weight.shape[0], -1)


def mask_by_head(problem):
    """A reason where the mask differs from head to head: [] where it does not.

    A head with nothing to attend to is nan in a library that does not treat such rows, and the output mixes the heads.
    """
    form = problem.mask.rpartition("-")[2] if problem.mask and problem.mask != "padding" else ""
    return (
        ["a head that may attend to nothing, beside others that may, cannot be mended after the layer"]
        if "h" in form
        else []
    )
