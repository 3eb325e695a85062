"""Dot products of rows as they lie in memory: the scores of one query against a cache of keys."""

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INT32, INTP
from ..runtime.memory import members_of
from .vectors import each_of, simd, subroutine

IN_REGISTERS = (2, 4, 8)
"""The vectors of a row for which `dots` holds the other operand in registers."""


@intrinsic
def dots(typing, columns, a, b, out, form):
    """out[r] = Σ_c A[r, c] b[c] for `rows_of_dots` rows. `columns` is a multiple of a vector's lanes.

    a is `Rows`, as `form` has it stored; b and out are addresses of numbers of the type that is computed with. Rows are read
    one after the other, in the order of their addresses, which the processor predicts. The products of each row are added in
    a vector of its own; then pairs of vectors are folded into one, until it holds a row's sum in each lane.
    """
    kind, stored = form.types
    unit = simd(str(kind))
    signature = types.void(types.intp, a, types.intp, types.intp, form)

    def generate(context, builder, signature, values):
        matrix = members_of(context, builder, signature.args[1], values[1])
        subroutine(builder, f"dots_{kind}_{stored}", [values[0], *matrix, *values[2:4]], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        columns, a, a_row, b, out = arguments
        rows = range(min(8, unit.lanes))
        a, b, out = unit.stored_pointer(builder, a, stored), unit.pointer(builder, b), unit.pointer(builder, out)
        a_rows = [builder.gep(a, [builder.mul(a_row, INTP(r))]) for r in rows]
        sums = [cgutils.alloca_once_value(builder, unit.constant(0)) for _ in rows]

        def add(row, total, index, right):
            left = unit.load_stored(builder, row, index, stored)
            builder.store(unit.fma(builder, left, right, builder.load(total)), total)

        vectors = builder.udiv(columns, INTP(unit.lanes))
        for count in each_of(builder, vectors, IN_REGISTERS):
            indices = [INTP(c * unit.lanes) for c in range(count)]
            factors = [unit.load(builder, b, index) for index in indices]
            for row, total in zip(a_rows, sums, strict=True):
                for index, right in zip(indices, factors, strict=True):
                    add(row, total, index, right)
                unit.keep_order(builder)
        rest = vectors  # All of them, unless one of the cases above has done it.
        for count in IN_REGISTERS:
            rest = builder.select(builder.icmp_signed("==", vectors, INTP(count)), INTP(0), rest)
        for row, total in zip(a_rows, sums, strict=True):
            with cgutils.for_range(builder, rest) as loop:
                index = builder.mul(loop.index, INTP(unit.lanes))
                add(row, total, index, unit.load(builder, b, index))
        result = _folded(unit, builder, [builder.load(total) for total in sums])
        for r in rows:
            builder.store(builder.extract_element(result, INT32(r)), builder.gep(out, [INTP(r)]))

    return signature, generate


def _folded(unit, builder, vectors):
    """The sums of the vectors, each in a lane of one vector."""
    terms = unit.lanes
    while terms > 1:
        terms //= 2
        if len(vectors) > 1:
            vectors = [unit.fold(builder, x, y, terms) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
        else:
            vectors = [unit.fold(builder, vectors[0], vectors[0], terms)]
    return vectors[0]


@intrinsic
def rows_of_dots(typing, kind):
    """The rows that `dots` takes."""

    def generate(context, builder, signature, arguments):
        return INTP(min(8, simd(str(kind)).lanes))

    return types.intp(kind), generate
