"""The softcap c·tanh(s/c) of a tile of scores, in vectors.

Below 5/8, tanh x = x + x³ P(x²) with a polynomial P; above, (1 - e) / (1 + e) with e = exp(-2|x|), where 1 - e loses no
digits. The slope 1 - tanh² x is e (1 + |tanh x|)², in which nothing cancels where tanh is near 1.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INTP
from ..simd.exponential import LOG2E, exp2
from ..simd.vectors import simd, subroutine

SMALL = 0.625
"""Where the two formulas meet."""


def _coefficients(degree: int) -> list[float]:
    """The coefficients of P, highest power first, interpolated at Chebyshev's points.

    The nearest pole of tanh is at x² = -(π/2)², so the error of P falls by a factor of about 25 with each degree: with 5 it
    is below 1e-8, with 11 below 1e-16, and it enters tanh x times x² ≤ 0.4.
    """

    def p(z):
        """(tanh x - x) / x³ = (sinh x / x - cosh x) / (x² cosh x), by series, as a difference would lose digits."""
        even = [math.factorial(2 * n) for n in range(12)]
        cosh = sum(z**n / even[n] for n in range(12))
        return sum(z ** (n - 1) * (1 / (2 * n + 1) - 1) / even[n] for n in range(1, 12)) / cosh

    fit = np.polynomial.Chebyshev.interpolate(p, degree, domain=[0, SMALL**2])
    return fit.convert(kind=np.polynomial.Polynomial).coef[::-1].tolist()


_POLYNOMIAL = {4: _coefficients(5), 8: _coefficients(11)}
"""By the bytes of a number."""


def tanh_and_slope(unit, builder, x):
    """(tanh x, 1 - tanh² x), each to a few roundoffs of its own size."""
    integers = unit.integers
    sign_bit = ir.Constant(integers, [1 << (8 * unit.size - 1)] * unit.lanes)
    bits = builder.bitcast(x, integers)
    sign = builder.and_(bits, sign_bit)
    size = builder.bitcast(builder.xor(bits, sign), unit.vector)
    z = builder.fmul(size, size)
    first, *rest = _POLYNOMIAL[unit.size]
    p = unit.constant(first)
    for coefficient in rest:
        p = unit.fma(builder, p, z, unit.constant(coefficient))
    near = unit.fma(builder, builder.fmul(builder.fmul(size, z), p), unit.constant(1), size)
    e = exp2(unit, builder, builder.fmul(size, unit.constant(-2 * LOG2E)))
    far = builder.fdiv(builder.fsub(unit.constant(1), e), builder.fadd(unit.constant(1), e))
    chosen = builder.select(builder.fcmp_ordered("<", size, unit.constant(SMALL)), near, far)
    plus_one = builder.fadd(chosen, unit.constant(1))
    slope = builder.fmul(builder.fmul(e, plus_one), plus_one)
    return builder.bitcast(builder.or_(builder.bitcast(chosen, integers), sign), unit.vector), slope


@intrinsic
def apply_softcap(typing, s, count, softcap, slope, kind):
    """Cap `count` scores at an address, a multiple of a vector's lanes; write 1 - tanh² to the address `slope` if not 0."""
    unit = simd(str(kind))
    signature = types.void(types.intp, types.intp, kind, types.intp, kind)

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"apply_softcap_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        s, count, softcap, slope = arguments
        wanted = builder.icmp_signed("!=", slope, INTP(0))
        s, slope = unit.pointer(builder, s), unit.pointer(builder, slope)
        cap = unit.splat(builder, softcap)
        with cgutils.for_range(builder, builder.udiv(count, INTP(unit.lanes))) as loop:
            at = builder.mul(loop.index, INTP(unit.lanes))
            t, steepness = tanh_and_slope(unit, builder, builder.fdiv(unit.load(builder, s, at), cap))
            unit.store(builder, builder.fmul(cap, t), s, at)
            with builder.if_then(wanted):
                unit.store(builder, steepness, slope, at)

    return signature, generate
