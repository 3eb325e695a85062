"""Stored numbers at an address: one, or a row. They may be float64, float32, bfloat16 or float16."""

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INT16, INTP
from ..runtime.memory import as_kind, load_native, size_of, store_native
from .half_precision import narrow, widen
from .vectors import each_of, simd

NATIVE, BFLOAT16, FLOAT16 = range(3)
"""How numbers may be stored: as kernels compute with them, or in one of two half-precision formats."""

FORM_OF = {"float64": NATIVE, "float32": NATIVE, "bfloat16": BFLOAT16, "float16": FLOAT16}


@intrinsic
def load_half_precision(typing, address, is_bfloat16):
    """The float32 of a half-precision number at an address."""

    def generate(context, builder, signature, arguments):
        address, is_bfloat16 = arguments
        bits = builder.load(builder.inttoptr(address, INT16.as_pointer()))
        return widen(builder, bits, is_bfloat16)

    return types.float32(types.intp, types.boolean), generate


@intrinsic
def store_half_precision(typing, address, value, is_bfloat16):
    """Round a float32 to the nearest half-precision number, ties to even, and write it."""

    def generate(context, builder, signature, arguments):
        address, value, is_bfloat16 = arguments
        builder.store(narrow(builder, value, is_bfloat16), builder.inttoptr(address, INT16.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.float32, types.boolean), generate


@deferred_codegen
def load_stored(address, storage, kind):
    """The stored number at an address in the type of `kind`."""
    if storage == NATIVE:
        return load_native(address, kind)
    return as_kind(load_half_precision(address, storage == BFLOAT16), kind)


@deferred_codegen
def store_rounded(address, value, storage):
    """Round a number to the nearest stored number, ties to even, and write it."""
    if storage == NATIVE:
        store_native(address, value)
    else:
        store_half_precision(address, as_kind(value, numba.float32(0)), storage == BFLOAT16)


@deferred_codegen
def bytes_of(storage, kind):
    """Bytes of a stored number."""
    return size_of(kind) if storage == NATIVE else 2


def each_form(builder, kind, storage):
    """For each type that numbers may be stored as: the builder in a branch that is taken if `storage` says so."""
    stored = {NATIVE: kind}
    if kind == types.float32:
        stored |= {BFLOAT16: types.int16, FLOAT16: types.uint16}
    for form in each_of(builder, storage, stored):
        yield stored[form]


@intrinsic
def _load_vectors(typing, source, destination, count, storage, kind):
    """Convert the whole vectors of a contiguous row from stored numbers; returns how many numbers these are."""

    def generate(context, builder, signature, arguments):
        source, destination, count, storage, _ = arguments
        unit = simd(str(kind))
        destination = unit.pointer(builder, destination)
        whole = builder.udiv(count, INTP(unit.lanes))
        for stored in each_form(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            with cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                unit.store(builder, unit.load_stored(builder, pointer, at, stored), destination, at)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.intp, kind), generate


@intrinsic
def _store_vectors(typing, source, destination, count, storage, kind):
    """The inverse of `_load_vectors`."""

    def generate(context, builder, signature, arguments):
        source, destination, count, storage, _ = arguments
        unit = simd(str(kind))
        source = unit.pointer(builder, source)
        whole = builder.udiv(count, INTP(unit.lanes))
        for stored in each_form(builder, kind, storage):
            pointer = unit.stored_pointer(builder, destination, stored)
            with cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                unit.store_stored(builder, unit.load(builder, source, at), pointer, at, stored)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.intp, kind), generate


@deferred_codegen
def load_row(source, step, count, storage, destination, kind):
    """Convert `count` stored numbers, `step` bytes apart, to contiguous ones of the type of `kind`. Addresses."""
    size = size_of(kind)
    done = _load_vectors(source, destination, count, storage, kind) if step == bytes_of(storage, kind) else 0
    for c in range(done, count):
        store_native(destination + c * size, load_stored(source + c * step, storage, kind))


@deferred_codegen
def store_row(source, count, storage, destination, step, kind):
    """The inverse of `load_row`: rounded to the nearest stored number, ties to even."""
    size = size_of(kind)
    done = _store_vectors(source, destination, count, storage, kind) if step == bytes_of(storage, kind) else 0
    for c in range(done, count):
        store_rounded(destination + c * step, load_native(source + c * size, kind), storage)
