"""The register-blocked matrix product at the bottom of everything: C (+)= A B, with a block of C held in registers.

Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3) 2015. A is read an element at a time and broadcast, so that it may have
any strides and needs no packing; B and C have contiguous rows of whole vectors.

A block of `rows` x `vectors` vectors of C needs as many accumulators, `vectors` registers for a row of B, and one for an
element of A. Every step of the inner loop loads rows + vectors operands for rows * vectors multiplications: 8 x 3 (of 32
registers) and 4 x 3 (of 16) keep two multipliers fed.
"""

from numba.core import cgutils, types
from numba.extending import intrinsic

from impls.kernels.fused.simd import INTP, registers, simd, subroutine

MOST_VECTORS = 3
ROWS = 8 if registers() == 32 else 4
"""Rows of C in registers."""


def _product(vectors: int):
    """`f(depth, a, a_row, a_step, b, b_row, c, c_row, add, kind)`: C = A B, or C += A B when `add`.

    a, b, c are addresses; strides count elements of the type of `kind`. A is (ROWS, depth) with element [r, k] at
    a + r * a_row + k * a_step; B is (depth, vectors * lanes) and C (ROWS, vectors * lanes), each with contiguous rows.
    """

    @intrinsic
    def product(typing, depth, a, a_row, a_step, b, b_row, c, c_row, add, kind):
        unit = simd(str(kind))
        signature = types.void(*[types.intp] * 8, types.boolean, kind)

        def generate(context, builder, signature, arguments):
            subroutine(builder, f"product_{vectors}_{kind}", arguments[:-1], body)
            return context.get_dummy_value()

        def body(builder, arguments):
            depth, a, a_row, a_step, b, b_row, c, c_row, add = arguments
            a, b, c = (unit.pointer(builder, address) for address in (a, b, c))
            sums = [[cgutils.alloca_once(builder, unit.vector) for _ in range(vectors)] for _ in range(ROWS)]
            blocks = [(r, n) for r in range(ROWS) for n in range(vectors)]
            c_rows = [builder.gep(c, [builder.mul(c_row, INTP(r))]) for r in range(ROWS)]
            with builder.if_else(add) as (then, otherwise):
                with then:
                    for r, n in blocks:
                        builder.store(unit.load(builder, c_rows[r], INTP(n * unit.lanes)), sums[r][n])
                with otherwise:
                    for r, n in blocks:
                        builder.store(unit.constant(0), sums[r][n])
            a_rows = [builder.gep(a, [builder.mul(a_row, INTP(r))]) for r in range(ROWS)]
            with cgutils.for_range(builder, depth) as loop:
                row = builder.gep(b, [builder.mul(loop.index, b_row)])
                right = [unit.load(builder, row, INTP(n * unit.lanes)) for n in range(vectors)]
                step = builder.mul(loop.index, a_step)
                for r in range(ROWS):
                    left = unit.splat(builder, builder.load(builder.gep(a_rows[r], [step])))
                    for n in range(vectors):
                        builder.store(unit.fma(builder, left, right[n], builder.load(sums[r][n])), sums[r][n])
            for r, n in blocks:
                unit.store(builder, builder.load(sums[r][n]), c_rows[r], INTP(n * unit.lanes))

        return signature, generate

    return product


product_1, product_2, product_3 = (_product(vectors) for vectors in (1, 2, 3))
