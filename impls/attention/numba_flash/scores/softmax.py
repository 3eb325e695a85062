"""The softmax of one tile of scores."""

import math
from functools import partial

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INT32, INTP
from ..simd.exponential import LOG2E, exp, exp2
from ..simd.microkernel import WIDTHS
from ..simd.vectors import each_of, simd, subroutine


@intrinsic
def softmax(typing, vectors, s, rows, m, l, o, o_rows, kind):
    """Fold a tile of scores, (rows, vectors * lanes) at address s, into the state.

    m and l are rows of the state, o is (o_rows, vectors * lanes). s becomes weights relative to the new maximum.
    Invariant: with s the scores seen so far, m = max s, l = Σ exp(s - m), o = Σ exp(s - m) v; m = -inf, l = 0, o = 0 for a
    query that has seen no key.
    """

    def generate(context, builder, signature, arguments):
        for vectors in each_of(builder, arguments[0], WIDTHS):
            body = partial(_softmax, simd(str(kind)), vectors)
            subroutine(builder, f"softmax_{vectors}_{kind}", arguments[1:-1], body)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7, kind), generate


def _softmax(unit, vectors, builder, arguments):
    s, rows, m, l, o, o_rows = arguments
    s, m, l, o = (unit.pointer(builder, address) for address in (s, m, l, o))
    at = [INTP(n * unit.lanes) for n in range(vectors)]
    width = INTP(vectors * unit.lanes)
    old = [unit.load(builder, m, place) for place in at]
    top = [cgutils.alloca_once_value(builder, vector) for vector in old]
    with cgutils.for_range(builder, rows) as loop:
        row = builder.gep(s, [builder.mul(loop.index, width)])
        for n, place in enumerate(at):
            builder.store(unit.maximum(builder, unit.load(builder, row, place), builder.load(top[n])), top[n])
    new = [builder.load(slot) for slot in top]
    lowest = unit.constant(-math.inf)
    shift = [builder.select(builder.fcmp_ordered("==", x, lowest), unit.constant(0), x) for x in new]
    _rescale(unit, builder, at, width, old, new, shift, l, o, o_rows)
    sums = [cgutils.alloca_once_value(builder, unit.constant(0)) for _ in at]
    with cgutils.for_range(builder, rows) as loop:
        row = builder.gep(s, [builder.mul(loop.index, width)])
        for n, place in enumerate(at):
            weight = exp(unit, builder, builder.fsub(unit.load(builder, row, place), shift[n]))
            unit.store(builder, weight, row, place)
            builder.store(builder.fadd(builder.load(sums[n]), weight), sums[n])
    for n, place in enumerate(at):
        unit.store(builder, new[n], m, place)
        unit.store(builder, builder.fadd(unit.load(builder, l, place), builder.load(sums[n])), l, place)


def _rescale(unit, builder, at, width, old, new, shift, l, o, o_rows):
    """Bring l and o to the new maximum, unless it is the old one for every query."""
    grown = ir.Constant(ir.IntType(1), 0)
    for before, after in zip(old, new, strict=True):
        bits = builder.bitcast(builder.fcmp_unordered("!=", before, after), ir.IntType(unit.lanes))
        grown = builder.or_(grown, builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(unit.lanes), 0)))
    with builder.if_then(grown):
        factors = [exp(unit, builder, builder.fsub(before, x)) for before, x in zip(old, shift, strict=True)]
        for factor, place in zip(factors, at, strict=True):
            unit.store(builder, builder.fmul(unit.load(builder, l, place), factor), l, place)
        with cgutils.for_range(builder, o_rows) as loop:
            row = builder.gep(o, [builder.mul(loop.index, width)])
            for factor, place in zip(factors, at, strict=True):
                unit.store(builder, builder.fmul(unit.load(builder, row, place), factor), row, place)


@intrinsic
def weights(typing, vectors, s, ds, rows, state, delta, scale, kind):
    """p = exp(s - m) / l in place of s, scale p (ds - delta) in place of ds.

    s and ds are (rows, vectors * lanes), delta one row, and state two: m and -log2 l.
    """

    def generate(context, builder, signature, arguments):
        for vectors in each_of(builder, arguments[0], WIDTHS):
            body = partial(_weights, simd(str(kind)), vectors)
            subroutine(builder, f"weights_{vectors}_{kind}", arguments[1:-1], body)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6, kind, kind), generate


def _weights(unit, vectors, builder, arguments):
    s, ds, rows, state, delta, scale = arguments
    s, ds, state, delta = (unit.pointer(builder, address) for address in (s, ds, state, delta))
    at = [INTP(n * unit.lanes) for n in range(vectors)]
    tops = [unit.load(builder, state, place) for place in at]
    logs = [unit.load(builder, state, INTP((vectors + n) * unit.lanes)) for n in range(vectors)]
    deltas = [unit.load(builder, delta, place) for place in at]
    factor = unit.splat(builder, scale)
    with cgutils.for_range(builder, rows) as loop:
        start = builder.mul(loop.index, INTP(vectors * unit.lanes))
        row, ds_row = builder.gep(s, [start]), builder.gep(ds, [start])
        for n, place in enumerate(at):
            # Where a weight counts, s - m is small, and log2 l is not lost beside it as it is beside a large m. To keep them
            # apart costs nothing, as the product with log2 e is there in any case.
            difference = builder.fsub(unit.load(builder, row, place), tops[n])
            p = exp2(unit, builder, unit.fma(builder, difference, unit.constant(LOG2E), logs[n]))
            unit.store(builder, p, row, place)
            difference = builder.fsub(unit.load(builder, ds_row, place), deltas[n])
            unit.store(builder, builder.fmul(builder.fmul(factor, p), difference), ds_row, place)


@intrinsic
def softmax_row(typing, s, count, m, l, factor, kind):
    """Fold one query's scores, `count` of them at address s, a multiple of a vector's lanes, into its state.

    m and l are addresses of single numbers, as in `softmax`; what o is to be multiplied by is left at `factor`.
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
        scaled = exp(unit, builder, builder.fsub(before, shift))
        first = INT32(0)
        kept = builder.extract_element(scaled, first)
        builder.store(builder.fadd(builder.fmul(builder.load(l), kept), builder.extract_element(added, first)), l)
        builder.store(builder.extract_element(new, first), m)
        builder.store(kept, factor)

    return signature, generate
