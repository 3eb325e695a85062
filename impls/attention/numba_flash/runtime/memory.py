"""What lies at an address: numbers in any of the stored dtypes, and arrays of those that are computed with.

Numba's arrays carry their layout in their type, and a kernel would be compiled for every combination of layouts. Addresses
and strides are numbers. What is stored may be float64, float32, bfloat16 or float16; what is computed with is float64 or
float32, the type of the argument that is called `kind` everywhere.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .deferred_codegen import deferred_codegen
from .llvm import INT8, INT32, INTP


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
def load_byte(typing, address):
    """The byte at an address: a boolean of a mask."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], INT8.as_pointer()))

    return types.uint8(types.intp), generate


@intrinsic
def fetch_add(typing, address):
    """Add 1 to the int64 at an address, atomically; returns what it was."""

    def generate(context, builder, signature, arguments):
        counter = builder.inttoptr(arguments[0], INTP.as_pointer())
        return builder.atomic_rmw("add", counter, INTP(1), "monotonic")

    return types.intp(types.intp), generate


@intrinsic
def prefetch(typing, address):
    """Ask for the cache line of an address that will be read soon."""

    def generate(context, builder, signature, arguments):
        address = builder.inttoptr(arguments[0], INT8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [address, INT32(0), INT32(3), INT32(1)])  # To read it, into every level of the data cache.
        return context.get_dummy_value()

    return types.void(types.intp), generate


def _array(context, builder, address, shape, kind):
    """An array of numbers of the type of `kind`, which nobody owns, as Numba has it."""
    array = make_array(types.Array(kind, len(shape), "C"))(context, builder)
    size = INTP(kind.bitwidth // 8)
    strides = [size]
    for count in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], count))
    data = builder.inttoptr(address, context.get_data_type(kind).as_pointer())
    populate_array(array, data, shape, strides, size, None)
    return array._getvalue()


@intrinsic
def view(typing, address, count, kind):
    """The array of `count` numbers of the type of `kind` at an address."""

    def generate(context, builder, signature, arguments):
        return _array(context, builder, arguments[0], [arguments[1]], kind)

    return types.Array(kind, 1, "C")(types.intp, types.intp, kind), generate


@intrinsic
def table(typing, address, rows, columns, kind):
    """The array (rows, columns) at an address."""

    def generate(context, builder, signature, arguments):
        return _array(context, builder, arguments[0], [arguments[1], arguments[2]], kind)

    return types.Array(kind, 2, "C")(types.intp, types.intp, types.intp, kind), generate


@deferred_codegen
def cut(address, count, kind):
    """(such an array, the next multiple of 64 bytes behind it)."""
    array = view(address, count, kind)
    return array, (address + array.nbytes + 63) // 64 * 64


@intrinsic
def as_kind(typing, value, kind):
    """A number in the type of `kind`."""

    def generate(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], value, kind)

    return kind(value, kind), generate


@intrinsic
def size_of(typing, kind):
    """Bytes of a number of the type of `kind`."""

    def generate(context, builder, signature, arguments):
        return INTP(kind.bitwidth // 8)

    return types.intp(kind), generate


@deferred_codegen
def multiply(x, factor):
    """x *= factor. An expression of arrays would make another one, and compile messages about shapes that do not fit."""
    for n in range(x.size):
        x[n] *= factor


@deferred_codegen
def copy(source, target):
    """target[:] = source, which would do the same."""
    for n in range(target.size):
        target[n] = source[n]
