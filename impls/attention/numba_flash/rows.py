"""Rows of stored numbers, and square blocks of them transposed: whole vectors at a time where they are contiguous."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .deferred_codegen import deferred_codegen
from .memory import (
    BFLOAT16,
    FLOAT16,
    NATIVE,
    bytes_of,
    load_native,
    read,
    size_of,
    store_native,
    write,
)
from .simd import INT32, INTP, each_of, simd, subroutine


def forms(builder, kind, storage):
    """The types that numbers may be stored as, each inside a branch that is taken where `storage` says so."""
    stored = {NATIVE: kind}
    if kind == types.float32:
        stored |= {BFLOAT16: types.int16, FLOAT16: types.uint16}
    for form in each_of(builder, storage, stored):
        yield stored[form]


@intrinsic
def _load_vectors(typing, source, destination, count, storage, kind):
    """Whole vectors of a contiguous row, from storage to numbers of the type of `kind`; how many numbers that are."""

    def generate(context, builder, signature, arguments):
        source, destination, count, storage, _ = arguments
        unit = simd(str(kind))
        destination = unit.pointer(builder, destination)
        whole = builder.udiv(count, INTP(unit.lanes))
        for stored in forms(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            with cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                unit.store(builder, unit.load_stored(builder, pointer, at, stored), destination, at)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.intp, kind), generate


@intrinsic
def _store_vectors(typing, source, destination, count, storage, kind):
    """The inverse of `_load_vectors`, for numbers."""

    def generate(context, builder, signature, arguments):
        source, destination, count, storage, _ = arguments
        unit = simd(str(kind))
        source = unit.pointer(builder, source)
        whole = builder.udiv(count, INTP(unit.lanes))
        for stored in forms(builder, kind, storage):
            pointer = unit.stored_pointer(builder, destination, stored)
            with cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                unit.store_stored(builder, unit.load(builder, source, at), pointer, at, stored)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.intp, kind), generate


@intrinsic
def transpose_block(typing, source, source_row, storage, factors, destination, destination_row, kind):
    """A square block of lanes x lanes numbers, each row times a vector of factors, transposed in registers.

    Addresses; rows apart in elements. The source is as `storage` says, the destination of the type of `kind`.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"transpose_block_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, storage, factors, destination, destination_row = arguments
        unit = simd(str(kind))
        destination = unit.pointer(builder, destination)
        factor = unit.load(builder, unit.pointer(builder, factors), INTP(0))
        for stored in forms(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            places = [builder.mul(source_row, INTP(n)) for n in range(unit.lanes)]
            rows = [builder.fmul(unit.load_stored(builder, pointer, place, stored), factor) for place in places]
            rows = transposed(builder, unit.lanes, rows)
            for n, row in enumerate(rows):
                unit.store(builder, row, destination, builder.mul(destination_row, INTP(n)))

    return types.void(*[types.intp] * 6, kind), generate


def transposed(builder, lanes, rows):
    """The columns of a square of vectors."""
    step = 1
    while step < lanes:  # Rows n and n + step exchange the off-diagonal blocks of their 2 step x 2 step squares.
        upper = [lanes + (i - step) if i & step else i for i in range(lanes)]
        lower = [lanes + i if i & step else i + step for i in range(lanes)]
        for n in range(lanes):
            if not n & step:
                a, b = rows[n], rows[n + step]
                rows[n] = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, lanes), upper))
                rows[n + step] = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, lanes), lower))
        step *= 2
    return rows


@deferred_codegen
def load_row(source, step, count, storage, destination, kind):
    """`count` stored numbers, `step` bytes apart, to contiguous ones of the type of `kind`. Addresses."""
    size = size_of(kind)
    done = _load_vectors(source, destination, count, storage, kind) if step == bytes_of(storage, kind) else 0
    for c in range(done, count):
        store_native(destination + c * size, read(source + c * step, storage, kind))


@deferred_codegen
def store_row(source, count, storage, destination, step, kind):
    """The inverse of `load_row`: rounded to the nearest stored number, ties to even."""
    size = size_of(kind)
    done = _store_vectors(source, destination, count, storage, kind) if step == bytes_of(storage, kind) else 0
    for c in range(done, count):
        write(destination + c * step, load_native(source + c * size, kind), storage)
