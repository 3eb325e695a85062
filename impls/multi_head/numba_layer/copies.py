"""Blocks of whole vectors, copied from rows in memory to contiguous ones."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ...attention.numba_flash.runtime.llvm import INT16, INT32, INTP
from ...attention.numba_flash.simd.stored import each_form
from ...attention.numba_flash.simd.vectors import interleaved, simd, subroutine


@intrinsic
def copy_vectors(typing, source, count, vectors, out, storage, kind):
    """out[k, c] = element c of row k, converted, for `count` rows of whole vectors; `source` is (address, bytes of a row).

    `storage` says how the rows are stored (`simd.stored`).
    """
    signature = types.void(source, types.intp, types.intp, types.intp, types.intp, kind)

    def generate(context, builder, signature, values):
        pair = [builder.extract_value(values[0], n) for n in range(2)]
        subroutine(builder, f"copy_vectors_{kind}", [*pair, *values[1:5]], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, row, count, vectors, out, storage = arguments
        unit = simd(str(kind))
        out, width = unit.pointer(builder, out), builder.mul(vectors, INTP(unit.lanes))
        for stored in each_form(builder, kind, storage):
            with cgutils.for_range(builder, count) as k:
                pointer = unit.stored_pointer(builder, builder.add(source, builder.mul(k.index, row)), stored)
                target = builder.gep(out, [builder.mul(k.index, width)])
                with cgutils.for_range(builder, vectors) as loop:
                    at = builder.mul(loop.index, INTP(unit.lanes))
                    unit.store(builder, unit.load_stored(builder, pointer, at, stored), target, at)

    return signature, generate


@intrinsic
def interleave_vectors(typing, source, count, vectors, out):
    """out[j, c] = elements c of rows 2 j and 2 j + 1, two-byte numbers, for `count` pairs of rows of whole vectors.

    `source` is (address, bytes of a row); a vector of `out` has as many pairs as one of float32 has numbers.
    """
    signature = types.void(source, types.intp, types.intp, types.intp)

    def generate(context, builder, signature, values):
        pair = [builder.extract_value(values[0], n) for n in range(2)]
        subroutine(builder, "interleave_vectors", [*pair, *values[1:]], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, row, count, vectors, out = arguments
        unit = simd("float32")
        width = builder.mul(vectors, INTP(unit.lanes))
        numbers = ir.VectorType(INT16, unit.lanes).as_pointer()
        order = ir.Constant(ir.VectorType(INT32, 2 * unit.lanes), interleaved(unit.lanes))
        out = builder.inttoptr(out, INT32.as_pointer())
        with cgutils.for_range(builder, count) as j:
            first = builder.add(source, builder.mul(j.index, builder.mul(row, INTP(2))))
            rows = [builder.inttoptr(address, INT16.as_pointer()) for address in (first, builder.add(first, row))]
            target = builder.gep(out, [builder.mul(j.index, width)])
            with cgutils.for_range(builder, vectors) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                pair = [builder.load(builder.bitcast(builder.gep(x, [at]), numbers), align=2) for x in rows]
                both = builder.shuffle_vector(*pair, order)
                place = builder.bitcast(builder.gep(target, [at]), both.type.as_pointer())
                builder.store(both, place, align=4)

    return signature, generate
