"""The register-blocked matrix product at the bottom of everything: C (+)= A B, with a block of C held in registers.

Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3) 2015. A is read an element at a time and broadcast, so that it may have
any strides and needs no packing; B and C have contiguous rows of whole vectors. Where the processor multiplies pairs of
bfloat16 numbers, an element of A and of B may be such a pair, and a step of the loop does twice the work.

A block of `rows` x `vectors` vectors of C needs as many accumulators, `vectors` registers for a row of B, and one for an
element of A. Every step of the inner loop loads rows + vectors operands for rows * vectors multiplications: 8 x 3 (of 32
registers) and 4 x 3 (of 16) keep two multipliers fed.
"""

import itertools
from functools import partial, reduce

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INT32, INTP
from ..runtime.processor import registers
from .vectors import each_of, simd, subroutine

WIDTHS = (1, 2, 3)
"""Numbers of vectors that a tile of scores may have: there is a micro-kernel for each."""


MAX_VECTORS = WIDTHS[-1]


ROWS = 8 if registers() == 32 else 4
"""Rows of C in registers."""


MAX_TERMS = 128
"""Products that are added up in registers, then to those before them in memory: errors grow with the length of a sum, and
what is moved with the number of sums."""


IN_REGISTERS = (2, 4, 8)
"""Vectors of a row for which `dots` holds the other operand in registers."""


def _products(rows: int, widths: tuple[int, ...], widened: bool = False, two_sums: bool = False):
    """`f(vectors, depth, a, a_row, a_step, b, b_row, c, c_row, add, kind, stored)`: C = A B, or C += A B when `add`.

    a, b, c are addresses; strides count elements of the type of `kind`, b_row those of `stored`. A is (rows, depth) with
    element [r, k] at a + r * a_row + k * a_step; B is (depth, vectors * lanes) and C (rows, vectors * lanes), each with
    contiguous rows. There is a micro-kernel for each number of vectors in `widths`.

    If the type of `stored` is int16, numbers of A and B are bfloat16, two at a time: `depth` counts pairs, a_row and a_step
    numbers, b_row pairs. With `widened`, A is in the type that is computed with, and the type says in which form B alone is:
    see `Simd.load_stored`.

    With `two_sums`, sums are of two halves, both in registers, for half of the rows at a time; otherwise of parts of so many
    terms as `MAX_TERMS`. Sums of bfloat16 numbers, which are coarser anyway, are whole.
    """

    @intrinsic
    def product(typing, vectors, depth, a, a_row, a_step, b, b_row, c, c_row, add, kind, stored):
        signature = types.void(*[types.intp] * 9, types.boolean, kind, stored)

        def generate(context, builder, signature, arguments):
            unit = simd(str(kind))
            for vectors in each_of(builder, arguments[0], widths):
                whole = widened or stored == types.int16
                sets = 2 if two_sums and not whole else 1
                body = partial(_product, unit, rows, vectors, stored, widened, sets)
                name = f"product_{rows}x{vectors}x{sets}_{kind}_{stored}_{widened}"
                parts = _whole if two_sums or whole else _parts
                for part in parts(builder, arguments[1:-2], unit.size):
                    subroutine(builder, name, part, body)
            return context.get_dummy_value()

        return signature, generate

    return product


def _whole(builder, arguments, size):
    yield arguments


def _parts(builder, arguments, size):
    """The arguments of a product of at most so many terms, inside a loop that goes over all."""
    depth, a, a_row, a_step, b, b_row, c, c_row, add = arguments
    most = INTP(MAX_TERMS)
    with cgutils.for_range_slice(builder, INTP(0), depth, most, inc=True) as (start, _):
        left = builder.sub(depth, start)
        terms = builder.select(builder.icmp_signed("<", left, most), left, most)
        a_part, b_part = (
            builder.add(address, builder.mul(start, builder.mul(step, INTP(size))))
            for address, step in ((a, a_step), (b, b_row))
        )
        more = builder.or_(add, builder.icmp_signed(">", start, INTP(0)))
        yield terms, a_part, a_row, a_step, b_part, b_row, c, c_row, more


def _product(unit, rows, vectors, stored, widened, sets, builder, arguments):
    """The body of a micro-kernel, which adds up its terms in so many sets of sums."""
    depth, a, a_row, a_step, b, b_row, c, c_row, add = arguments
    paired = not widened and stored == types.int16
    c, b = unit.pointer(builder, c), unit.stored_pointer(builder, b, types.int32 if paired else stored)
    a = builder.inttoptr(a, ir.IntType(16).as_pointer()) if paired else unit.pointer(builder, a)
    multiply_add = unit.dot_bf16_pairs if paired else unit.fma

    def add_term(sums, k):
        row = builder.gep(b, [builder.mul(k, b_row)])
        form = types.float32 if paired else stored  # Of pairs, as of float32 numbers, four bytes.
        right = [unit.load_stored(builder, row, INTP(n * unit.lanes), form) for n in range(vectors)]
        right = [builder.bitcast(x, unit.integers) for x in right] if paired else right
        step = builder.mul(k, a_step)
        for r, row_sums in sums.items():
            element = builder.gep(a, [builder.add(builder.mul(a_row, INTP(r)), step)])
            if paired:
                element = builder.bitcast(element, INT32.as_pointer())
            left = unit.splat(builder, builder.load(element, align=2 if paired else unit.size))
            for total, x in zip(row_sums, right, strict=True):
                builder.store(multiply_add(builder, left, x, builder.load(total)), total)

    length, together = builder.udiv(depth, INTP(sets)), rows // sets
    for first in range(0, rows, together):
        group, zero = range(first, first + together), unit.constant(0)
        every = [{r: [cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for r in group} for _ in range(sets)]
        with cgutils.for_range(builder, length) as loop:
            for number, sums in enumerate(every):
                add_term(sums, builder.add(loop.index, builder.mul(length, INTP(number))))
        with cgutils.for_range_slice(builder, builder.mul(length, INTP(sets)), depth, INTP(1), inc=True) as (k, _):
            add_term(every[0], k)
        totals = {}
        for r, n in itertools.product(group, range(vectors)):
            place = builder.gep(c, [builder.add(builder.mul(c_row, INTP(r)), INTP(n * unit.lanes))])
            totals[place] = reduce(builder.fadd, [builder.load(sums[r][n]) for sums in every])
        with builder.if_else(add) as (adding, writing):
            with adding:
                for place, total in totals.items():
                    unit.store(builder, builder.fadd(unit.load(builder, place, INTP(0)), total), place, INTP(0))
            with writing:
                for place, total in totals.items():
                    unit.store(builder, total, place, INTP(0))


product = _products(ROWS, WIDTHS)


product_two_sums = _products(ROWS, WIDTHS, two_sums=True)


gemv = _products(1, (1, 2, 4, 8), widened=True)


gemm_4_rows = _products(4, (1, 2, 4), widened=True)


@intrinsic
def dots(typing, columns, a, a_row, b, out, kind, stored):
    """out[r] = Σ_c A[r, c] b[c] for as many rows as `rows_of_dots`. Addresses; `columns` is a multiple of a vector's lanes.

    The type of `stored` says in which form A is, and its rows are a_row elements of that apart. They are read one after the
    other, as they lie, which the processor foresees. Each row's products are added in a vector of its own; then pairs of
    vectors are folded into one, until it holds a row's sum in each lane.
    """
    unit = simd(str(kind))
    signature = types.void(*[types.intp] * 5, kind, stored)

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"dots_{kind}_{stored}", arguments[:-2], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        columns, a, a_row, b, out = arguments
        rows = range(min(8, unit.lanes))
        a, b, out = unit.stored_pointer(builder, a, stored), unit.pointer(builder, b), unit.pointer(builder, out)
        a_rows = [builder.gep(a, [builder.mul(a_row, INTP(r))]) for r in rows]
        sums = [cgutils.alloca_once_value(builder, unit.constant(0)) for _ in rows]

        def add(row, total, place, right):
            left = unit.load_stored(builder, row, place, stored)
            builder.store(unit.fma(builder, left, right, builder.load(total)), total)

        vectors_of_row = builder.udiv(columns, INTP(unit.lanes))
        for count in each_of(builder, vectors_of_row, IN_REGISTERS):
            places = [INTP(c * unit.lanes) for c in range(count)]
            factors = [unit.load(builder, b, place) for place in places]
            for row, total in zip(a_rows, sums, strict=True):
                for place, right in zip(places, factors, strict=True):
                    add(row, total, place, right)
                unit.keep_order(builder)
        rest = vectors_of_row  # All of it, unless one of those cases has done it.
        for count in IN_REGISTERS:
            rest = builder.select(builder.icmp_signed("==", vectors_of_row, INTP(count)), INTP(0), rest)
        for row, total in zip(a_rows, sums, strict=True):
            with cgutils.for_range(builder, rest) as loop:
                place = builder.mul(loop.index, INTP(unit.lanes))
                add(row, total, place, unit.load(builder, b, place))
        vectors, terms = [builder.load(total) for total in sums], unit.lanes
        while terms > 1:
            terms //= 2
            if len(vectors) > 1:
                vectors = [unit.fold(builder, x, y, terms) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
            else:
                vectors = [unit.fold(builder, vectors[0], vectors[0], terms)]
        for r in rows:
            builder.store(builder.extract_element(vectors[0], INT32(r)), builder.gep(out, [INTP(r)]))

    return signature, generate


@intrinsic
def rows_of_dots(typing, kind):
    """How many rows `dots` takes."""

    def generate(context, builder, signature, arguments):
        return INTP(min(8, simd(str(kind)).lanes))

    return types.intp(kind), generate
