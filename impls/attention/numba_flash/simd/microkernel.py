"""The register-blocked matrix product at the bottom of everything: C (+)= A B, with a block of C held in registers.

Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3) 2015. A is read one element at a time and broadcast, so that it may have
any strides and needs no packing; B and C have contiguous rows of whole vectors. If the processor multiplies pairs of
bfloat16 numbers, an element of A and of B may be such a pair, and a step of the loop does twice the work.

A block of `rows` x `vectors` vectors of C needs as many accumulators, `vectors` registers for a row of B, and one for an
element of A. Every step of the inner loop loads rows + vectors operands for rows * vectors multiplications: 8 x 3 (of 32
registers) and 4 x 3 (of 16) keep two multipliers fed.
"""

import itertools
from dataclasses import dataclass
from functools import partial, reduce

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INT16, INT32, INTP
from ..runtime.memory import members_of
from ..runtime.processor import registers
from .matrices import Rows, Strided, Target
from .stored import each_form
from .vectors import Simd, each_of, simd, subroutine

WIDTHS = (1, 2, 3)
"""The vectors that a row of a tile of scores may have: there is a micro-kernel for each number."""

MAX_VECTORS = WIDTHS[-1]
ROWS = 8 if registers() == 32 else 4
"""Rows of C in registers."""

MAX_TERMS = 128
"""Products that are added up in registers before the sum goes to memory: errors grow with the length of a sum, and the data
moved with the number of sums."""


@dataclass(frozen=True)
class _MicroKernel:
    """One micro-kernel: the body of its function."""

    unit: Simd
    rows: int
    vectors: int
    stored: types.Type
    """The type in which B is stored."""
    pairs: bool
    """Whether elements of A and B are pairs of bfloat16 numbers."""
    sums: int
    """The number of sums, each in registers of its own, that an element of C is split into."""

    def __call__(self, builder, arguments):
        depth, *operands, c, c_row, add = arguments
        length, together = builder.udiv(depth, INTP(self.sums)), self.rows // self.sums
        a, b, c = self._pointers(builder, operands[0], operands[3], c)
        add_term = partial(self._add_term, builder, Strided(a, *operands[1:3]), Rows(b, operands[4]))
        for first in range(0, self.rows, together):
            group, zero = range(first, first + together), self.unit.constant(0)
            every = [
                {r: [cgutils.alloca_once_value(builder, zero) for _ in range(self.vectors)] for r in group}
                for _ in range(self.sums)
            ]
            with cgutils.for_range(builder, length) as loop:
                for number, sums in enumerate(every):
                    add_term(sums, builder.add(loop.index, builder.mul(length, INTP(number))))
            with cgutils.for_range_slice(builder, builder.mul(length, INTP(self.sums)), depth, INTP(1), inc=True) as (k, _):
                add_term(every[0], k)
            self._write(builder, every, Target(c, c_row, add))

    def _pointers(self, builder, a, b, c):
        c, b = (
            self.unit.pointer(builder, c),
            self.unit.stored_pointer(builder, b, types.int32 if self.pairs else self.stored),
        )
        a = builder.inttoptr(a, INT16.as_pointer()) if self.pairs else self.unit.pointer(builder, a)
        return a, b, c

    def _add_term(self, builder, a, b, sums, k):
        """Add the product of column k of A and row k of B to the sums of these rows of C."""
        unit = self.unit
        row = builder.gep(b.address, [builder.mul(k, b.row)])
        form = types.float32 if self.pairs else self.stored  # A pair has four bytes, as a float32 has.
        right = [unit.load_stored(builder, row, INTP(n * unit.lanes), form) for n in range(self.vectors)]
        right = [builder.bitcast(x, unit.integers) for x in right] if self.pairs else right
        step = builder.mul(k, a.step)
        multiply_add = unit.dot_bf16_pairs if self.pairs else unit.fma
        for r, row_sums in sums.items():
            element = builder.gep(a.address, [builder.add(builder.mul(a.row, INTP(r)), step)])
            if self.pairs:
                element = builder.bitcast(element, INT32.as_pointer())
            left = unit.splat(builder, builder.load(element, align=2 if self.pairs else unit.size))
            for total, x in zip(row_sums, right, strict=True):
                builder.store(multiply_add(builder, left, x, builder.load(total)), total)

    def _write(self, builder, every, c):
        """Write the total of every sum to C, or add it."""
        unit, totals = self.unit, {}
        for r, n in itertools.product(every[0], range(self.vectors)):
            target = builder.gep(c.address, [builder.add(builder.mul(c.row, INTP(r)), INTP(n * unit.lanes))])
            totals[target] = reduce(builder.fadd, [builder.load(sums[r][n]) for sums in every])
        with builder.if_else(c.add) as (adding, writing):
            with adding:
                for target, total in totals.items():
                    unit.store(builder, builder.fadd(unit.load(builder, target, INTP(0)), total), target, INTP(0))
            with writing:
                for target, total in totals.items():
                    unit.store(builder, total, target, INTP(0))


def _whole(builder, arguments, size):
    yield arguments


def _parts(builder, arguments, size):
    """The arguments of a product of at most `MAX_TERMS` terms, in a loop over all terms."""
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


def _products(rows: int, widths: tuple[int, ...], widened: bool = False, two_sums: bool = False):
    """`f(vectors, depth, a, b, c, form)`: C = A B, or C += A B. a is `Strided`, b `Rows`, c a `Target`, form a `Form`.

    Strides count elements. A is (rows, depth), B (depth, vectors * lanes) and C (rows, vectors * lanes). There is a
    micro-kernel for each number of vectors in `widths`.

    If B is stored as int16, numbers of A and B are bfloat16, two at a time: `depth` and the rows of B count pairs, the rows
    and steps of A numbers. With `widened`, A is in the type that is computed with, and only B as it is stored.

    With `two_sums` every sum is split in two, both in registers, for half of the rows at a time; otherwise into parts of
    `MAX_TERMS` terms. Sums of bfloat16 numbers, which are less exact anyway, are not split.
    """

    @intrinsic
    def product(typing, vectors, depth, a, b, c, form):
        signature = types.void(types.intp, types.intp, a, b, c, form)
        kind, stored = form.types

        def generate(context, builder, signature, values):
            matrices = (members_of(context, builder, *one) for one in zip(signature.args[2:5], values[2:5], strict=True))
            unit, arguments = simd(str(kind)), [values[1], *itertools.chain(*matrices)]
            pairs, unsplit = stored == types.int16 and not widened, stored == types.int16 or widened
            for vectors in each_of(builder, values[0], widths):
                sums = 2 if two_sums and not unsplit else 1
                body = _MicroKernel(unit, rows, vectors, stored, pairs, sums)
                name = f"product_{rows}x{vectors}x{sums}_{kind}_{stored}_{widened}"
                for part in (_whole if two_sums or unsplit else _parts)(builder, arguments, unit.size):
                    subroutine(builder, name, part, body)
            return context.get_dummy_value()

        return signature, generate

    return product


product = _products(ROWS, WIDTHS)
product_two_sums = _products(ROWS, WIDTHS, two_sums=True)
product_row = _products(1, WIDTHS)
gemv = _products(1, (1, 2, 4, 8), widened=True)
gemm_4_rows = _products(4, (1, 2, 4), widened=True)


@intrinsic
def product_row_stored(typing, vectors, depth, a, b, c, storage, kind):
    """`product_row` with A in the type that is computed with, and B as `storage` says (`stored`). Sums are not split."""
    signature = types.void(types.intp, types.intp, a, b, c, types.intp, kind)

    def generate(context, builder, signature, values):
        matrices = (members_of(context, builder, *one) for one in zip(signature.args[2:5], values[2:5], strict=True))
        unit, arguments = simd(str(kind)), [values[1], *itertools.chain(*matrices)]
        for stored in each_form(builder, kind, values[5]):
            for vectors in each_of(builder, values[0], WIDTHS):
                body = _MicroKernel(unit, 1, vectors, stored, False, 1)
                subroutine(builder, f"product_row_{vectors}_{kind}_{stored}", arguments, body)
        return context.get_dummy_value()

    return signature, generate
