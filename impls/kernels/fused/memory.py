"""What lies at an address: single numbers in any of the stored dtypes, rows of them, and blocks turned around.

Numba's arrays carry their layout in their type, and a kernel would be compiled for every combination of layouts. Addresses
and strides are numbers. What is stored may be float64, float32, bfloat16 or float16; what is computed with is float64 or
float32, the type of the argument that is called `kind` everywhere.
"""

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from impls.kernels.fused.half import narrow, widen
from impls.kernels.fused.simd import INTP, internal, simd, subroutine

FLOAT64, FLOAT32, BFLOAT16, FLOAT16 = range(4)
STORAGE = {"float64": FLOAT64, "float32": FLOAT32, "bfloat16": BFLOAT16, "float16": FLOAT16}

_INT8, _INT16, _INT32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)


def _accumulator(kind):
    return ir.FloatType() if kind == types.float32 else ir.DoubleType()


@intrinsic
def load_native(typing, address, kind):
    """The number of the type of `kind` at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _accumulator(kind).as_pointer()))

    return kind(types.intp, kind), generate


@intrinsic
def store_native(typing, address, value):
    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], _accumulator(value).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, value), generate


@intrinsic
def load_half(typing, address, is_bfloat16):
    """The float32 of a half-precision number at an address."""

    def generate(context, builder, signature, arguments):
        address, is_bfloat16 = arguments
        bits = builder.load(builder.inttoptr(address, _INT16.as_pointer()))
        return widen(builder, bits, is_bfloat16)

    return types.float32(types.intp, types.boolean), generate


@intrinsic
def store_half(typing, address, value, is_bfloat16):
    """Round a float32 to the nearest half-precision number, ties to even, and write it."""

    def generate(context, builder, signature, arguments):
        address, value, is_bfloat16 = arguments
        builder.store(narrow(builder, value, is_bfloat16), builder.inttoptr(address, _INT16.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.float32, types.boolean), generate


@intrinsic
def load_byte(typing, address):
    """The byte at an address: a boolean of a mask."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _INT8.as_pointer()))

    return types.uint8(types.intp), generate


@intrinsic
def fetch_add(typing, address):
    """Add 1 to the int64 at an address, atomically; returns what it was."""

    def generate(context, builder, signature, arguments):
        counter = builder.inttoptr(arguments[0], INTP.as_pointer())
        return builder.atomic_rmw("add", counter, INTP(1), "monotonic")

    return types.intp(types.intp), generate


@intrinsic
def _load_row(typing, source, destination, count, storage, kind):
    """Whole vectors of a contiguous row, from storage to numbers of the type of `kind`."""

    def generate(context, builder, signature, arguments):
        source, destination, count, storage, _ = arguments
        unit = simd(str(kind))
        destination = unit.pointer(builder, destination)
        whole = builder.udiv(count, INTP(unit.lanes))
        native = builder.icmp_signed("<=", storage, INTP(FLOAT32))
        is_bfloat16 = builder.icmp_signed("==", storage, INTP(BFLOAT16))
        with builder.if_else(native) as (then, otherwise):
            with then, cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                unit.store(builder, unit.load(builder, unit.pointer(builder, source), at), destination, at)
            with otherwise:
                if kind == types.float32:
                    halves = ir.VectorType(_INT16, unit.lanes)
                    pointer = builder.inttoptr(source, _INT16.as_pointer())
                    with cgutils.for_range(builder, whole) as loop:
                        at = builder.mul(loop.index, INTP(unit.lanes))
                        bits = builder.load(builder.bitcast(builder.gep(pointer, [at]), halves.as_pointer()), align=2)
                        unit.store(builder, widen(builder, bits, is_bfloat16), destination, at)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.intp, kind), generate


@intrinsic
def _store_row(typing, source, destination, count, storage, kind):
    """The inverse of `_load_row`: whole vectors to a contiguous row of storage."""

    def generate(context, builder, signature, arguments):
        source, destination, count, storage, _ = arguments
        unit = simd(str(kind))
        source = unit.pointer(builder, source)
        whole = builder.udiv(count, INTP(unit.lanes))
        native = builder.icmp_signed("<=", storage, INTP(FLOAT32))
        is_bfloat16 = builder.icmp_signed("==", storage, INTP(BFLOAT16))
        with builder.if_else(native) as (then, otherwise):
            with then, cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                unit.store(builder, unit.load(builder, source, at), unit.pointer(builder, destination), at)
            with otherwise:
                if kind == types.float32:
                    halves = ir.VectorType(_INT16, unit.lanes)
                    pointer = builder.inttoptr(destination, _INT16.as_pointer())
                    with cgutils.for_range(builder, whole) as loop:
                        at = builder.mul(loop.index, INTP(unit.lanes))
                        bits = narrow(builder, unit.load(builder, source, at), is_bfloat16)
                        builder.store(bits, builder.bitcast(builder.gep(pointer, [at]), halves.as_pointer()), align=2)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.intp, kind), generate


@intrinsic
def transpose(typing, source, source_row, factors, destination, destination_row, kind):
    """A square block of lanes x lanes numbers, each row times a vector of factors, turned around in registers.

    Addresses; rows apart in elements.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"transpose_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, factors, destination, destination_row = arguments
        unit = simd(str(kind))
        source, destination = unit.pointer(builder, source), unit.pointer(builder, destination)
        factor = unit.load(builder, unit.pointer(builder, factors), INTP(0))
        lanes = range(unit.lanes)
        loaded = [unit.load(builder, source, builder.mul(source_row, INTP(n))) for n in lanes]
        rows = [builder.fmul(row, factor) for row in loaded]
        step = 1
        while step < unit.lanes:  # Rows n and n + step exchange the off-diagonal blocks of their 2 step x 2 step squares.
            upper = [unit.lanes + (i - step) if i & step else i for i in lanes]
            lower = [unit.lanes + i if i & step else i + step for i in lanes]
            for n in lanes:
                if not n & step:
                    a, b = rows[n], rows[n + step]
                    rows[n] = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, unit.lanes), upper))
                    rows[n + step] = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, unit.lanes), lower))
            step *= 2
        for n in lanes:
            unit.store(builder, rows[n], destination, builder.mul(destination_row, INTP(n)))

    return types.void(*[types.intp] * 5, kind), generate


@intrinsic
def prefetch(typing, address):
    """Ask for the cache line of an address that will be read soon."""

    def generate(context, builder, signature, arguments):
        unit = simd("float32")
        unit.prefetch(builder, unit.pointer(builder, arguments[0]), INTP(0))
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def _pointer(typing, address, kind):
    """An address as a pointer to numbers of the type of `kind`."""
    pointer = types.CPointer(kind)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(types.intp, kind), generate


@internal
def view(address, count, kind):
    """The array of `count` numbers of the type of `kind` at an address."""
    return numba.carray(_pointer(address, kind), (count,))


@internal
def cut(address, count, kind):
    """(such an array, the next multiple of 64 bytes behind it)."""
    array = view(address, count, kind)
    return array, (address + array.nbytes + 63) // 64 * 64


@intrinsic
def lanes_of(typing, kind):
    """How many numbers of the type of `kind` a vector holds."""

    def generate(context, builder, signature, arguments):
        return INTP(simd(str(kind)).lanes)

    return types.intp(kind), generate


@intrinsic
def as_kind(typing, value, kind):
    """A number in the type of `kind`."""

    def generate(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], value, kind)

    return kind(value, kind), generate


@internal
def read(address, storage, kind):
    """The stored number at an address in the type of `kind`."""
    if storage <= FLOAT32:
        return load_native(address, kind)
    return as_kind(load_half(address, storage == BFLOAT16), kind)


@internal
def write(address, value, storage):
    """Round a number to its stored form, to the nearest, ties to even."""
    if storage <= FLOAT32:
        store_native(address, value)
    else:
        store_half(address, as_kind(value, numba.float32(0)), storage == BFLOAT16)


@intrinsic
def size_of(typing, kind):
    """Bytes of a number of the type of `kind`."""

    def generate(context, builder, signature, arguments):
        return INTP(kind.bitwidth // 8)

    return types.intp(kind), generate


@internal
def load_row(source, step, count, storage, destination, kind):
    """`count` stored numbers, `step` bytes apart, to contiguous ones of the type of `kind`. Addresses."""
    size = size_of(kind)
    done = _load_row(source, destination, count, storage, kind) if step == (size if storage <= FLOAT32 else 2) else 0
    for c in range(done, count):
        store_native(destination + c * size, read(source + c * step, storage, kind))


@internal
def store_row(source, count, storage, destination, step, kind):
    """The inverse of `load_row`: rounded to the nearest stored number, ties to even."""
    size = size_of(kind)
    done = _store_row(source, destination, count, storage, kind) if step == (size if storage <= FLOAT32 else 2) else 0
    for c in range(done, count):
        write(destination + c * step, load_native(source + c * size, kind), storage)
