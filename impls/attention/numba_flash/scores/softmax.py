"""The softmax of one tile of scores, in vectors: running maximum, powers of two, running sum, and the rescaling of o.

Lanes are queries, so nothing is ever summed across a vector. The softmax of one query's scores is at the end of the file.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INT32, INTP
from ..runtime.memory import address_in, members_of
from ..simd.exponential import LOG2E, exp, exp2
from ..simd.microkernel import WIDTHS
from ..simd.vectors import each_of, simd, subroutine


class State(NamedTuple):
    """The running softmax of the queries of a tile, one lane each.

    Invariant: with s the scores seen so far, m = max s, l = Σ exp(s - m), o = Σ exp(s - m) v; m = -inf, l = 0, o = 0 for a
    query that has seen no key.
    """

    m: np.ndarray
    l: np.ndarray
    o: np.ndarray
    """(columns of the values, lanes)"""


@intrinsic
def softmax(typing, shape, s, state, o_rows):
    """Fold a tile of scores into the `State`; s becomes weights relative to the new maximum.

    s is (rows, vectors * lanes), by `shape`. The first `o_rows` rows of o are rescaled.
    """
    signature, kind = types.void(shape, s, state, types.intp), s.dtype

    def generate(context, builder, signature, values):
        shape, state = (members_of(context, builder, signature.args[n], values[n]) for n in (0, 2))
        arguments = [address_in(context, builder, signature.args[1], values[1]), shape.rows, *state, values[3]]
        for vectors in each_of(builder, shape.vectors, WIDTHS):
            subroutine(builder, f"softmax_{vectors}_{kind}", arguments, partial(_softmax, simd(str(kind)), vectors))
        return context.get_dummy_value()

    return signature, generate


def _softmax(unit, vectors, builder, arguments):
    s, rows, m, l, o, o_rows = arguments
    s, m, l, o = (unit.pointer(builder, address) for address in (s, m, l, o))
    columns, width = [INTP(n * unit.lanes) for n in range(vectors)], INTP(vectors * unit.lanes)
    old = [unit.load(builder, m, column) for column in columns]
    top = [cgutils.alloca_once_value(builder, vector) for vector in old]
    with cgutils.for_range(builder, rows) as loop:
        row = builder.gep(s, [builder.mul(loop.index, width)])
        for slot, column in zip(top, columns, strict=True):
            builder.store(unit.maximum(builder, unit.load(builder, row, column), builder.load(slot)), slot)
    new = [builder.load(slot) for slot in top]
    lowest = unit.constant(-math.inf)
    shift = [builder.select(builder.fcmp_ordered("==", x, lowest), unit.constant(0), x) for x in new]
    with builder.if_then(_any_differs(unit, builder, old, new)):
        _rescale(unit, builder, zip(columns, old, shift, strict=True), width, State(None, l, o), o_rows)
    sums = [cgutils.alloca_once_value(builder, unit.constant(0)) for _ in columns]
    with cgutils.for_range(builder, rows) as loop:
        row = builder.gep(s, [builder.mul(loop.index, width)])
        for n, column in enumerate(columns):
            weight = exp(unit, builder, builder.fsub(unit.load(builder, row, column), shift[n]))
            unit.store(builder, weight, row, column)
            builder.store(builder.fadd(builder.load(sums[n]), weight), sums[n])
    for n, column in enumerate(columns):
        unit.store(builder, new[n], m, column)
        unit.store(builder, builder.fadd(unit.load(builder, l, column), builder.load(sums[n])), l, column)


def _any_differs(unit, builder, old, new):
    """Whether the maximum of any query has changed."""
    differs = ir.Constant(ir.IntType(1), 0)
    for before, after in zip(old, new, strict=True):
        bits = builder.bitcast(builder.fcmp_unordered("!=", before, after), ir.IntType(unit.lanes))
        differs = builder.or_(differs, builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(unit.lanes), 0)))
    return differs


def _rescale(unit, builder, maxima, width, state, o_rows):
    """Bring l and o to the new maxima; of each vector: its column, the old maximum, and the new one, finite."""
    factors = [(column, exp(unit, builder, builder.fsub(old, shift))) for column, old, shift in maxima]
    for column, factor in factors:
        unit.store(builder, builder.fmul(unit.load(builder, state.l, column), factor), state.l, column)
    with cgutils.for_range(builder, o_rows) as loop:
        row = builder.gep(state.o, [builder.mul(loop.index, width)])
        for column, factor in factors:
            unit.store(builder, builder.fmul(unit.load(builder, row, column), factor), row, column)


@intrinsic
def weights(typing, shape, s, ds, state, delta, scale):
    """p = exp(s - m) / l in place of s, scale p (ds - delta) in place of ds.

    s and ds are (rows, vectors * lanes), by `shape`; delta has one row, and `state` two: m and -log2 l.
    """
    signature, kind = types.void(shape, s, ds, state, delta, scale), s.dtype

    def generate(context, builder, signature, values):
        shape = members_of(context, builder, signature.args[0], values[0])
        arrays = zip(signature.args[1:5], values[1:5], strict=True)
        arguments = [shape.rows, *(address_in(context, builder, *one) for one in arrays), values[5]]
        for vectors in each_of(builder, shape.vectors, WIDTHS):
            subroutine(builder, f"weights_{vectors}_{kind}", arguments, partial(_weights, simd(str(kind)), vectors))
        return context.get_dummy_value()

    return signature, generate


def _weights(unit, vectors, builder, arguments):
    rows, s, ds, state, delta, scale = arguments
    s, ds, state, delta = (unit.pointer(builder, address) for address in (s, ds, state, delta))
    columns = [INTP(n * unit.lanes) for n in range(vectors)]
    tops = [unit.load(builder, state, column) for column in columns]
    logs = [unit.load(builder, state, INTP((vectors + n) * unit.lanes)) for n in range(vectors)]
    deltas = [unit.load(builder, delta, column) for column in columns]
    factor = unit.splat(builder, scale)
    with cgutils.for_range(builder, rows) as loop:
        start = builder.mul(loop.index, INTP(vectors * unit.lanes))
        row, ds_row = builder.gep(s, [start]), builder.gep(ds, [start])
        for n, column in enumerate(columns):
            # Where a weight counts, s - m is small, and log2 l has its digits beside it, which it would not have beside a
            # large m. Keeping them apart costs nothing: the product with log2 e has to be added to something anyway.
            difference = builder.fsub(unit.load(builder, row, column), tops[n])
            p = exp2(unit, builder, unit.fma(builder, difference, unit.constant(LOG2E), logs[n]))
            unit.store(builder, p, row, column)
            difference = builder.fsub(unit.load(builder, ds_row, column), deltas[n])
            unit.store(builder, builder.fmul(builder.fmul(factor, p), difference), ds_row, column)


@intrinsic
def softmax_row(typing, s, count, m, l, factor, kind):
    """Fold one query's scores, `count` of them at address s, a multiple of a vector's lanes, into its state.

    m and l are addresses of single numbers of a `State`. The factor by which o must be multiplied goes to address `factor`.
    """
    unit = simd(str(kind))
    signature = types.void(*[types.intp] * 5, kind)

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"softmax_row_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        s, count, m, l, factor = arguments
        s, m, l, factor = (unit.pointer(builder, address) for address in (s, m, l, factor))
        whole = builder.udiv(count, INTP(unit.lanes))
        before = unit.splat(builder, builder.load(m))
        top = cgutils.alloca_once_value(builder, before)
        with cgutils.for_range(builder, whole) as loop:
            at = builder.mul(loop.index, INTP(unit.lanes))
            builder.store(unit.maximum(builder, unit.load(builder, s, at), builder.load(top)), top)
        new = unit.reduce(builder, builder.load(top), lambda a, b: unit.maximum(builder, a, b))
        shift = builder.select(builder.fcmp_ordered("==", new, unit.constant(-math.inf)), unit.constant(0), new)
        total = cgutils.alloca_once_value(builder, unit.constant(0))
        with cgutils.for_range(builder, whole) as loop:
            at = builder.mul(loop.index, INTP(unit.lanes))
            weight = exp(unit, builder, builder.fsub(unit.load(builder, s, at), shift))
            unit.store(builder, weight, s, at)
            builder.store(builder.fadd(builder.load(total), weight), total)
        added = unit.reduce(builder, builder.load(total), builder.fadd)
        first = INT32(0)
        rescale = builder.extract_element(exp(unit, builder, builder.fsub(before, shift)), first)
        sum_before = builder.fmul(builder.load(l), rescale)
        builder.store(builder.fadd(sum_before, builder.extract_element(added, first)), l)
        builder.store(builder.extract_element(new, first), m)
        builder.store(rescale, factor)

    return signature, generate
