"""Numbers and arrays at an address.

Numba's arrays carry their layout in their type, and a kernel would be compiled for every combination of layouts. Addresses
and strides are numbers. Kernels compute with float64 or float32, the type of the argument that is called `kind` everywhere.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from .deferred_codegen import deferred_codegen
from .llvm import CACHE_LINE, INT8, INT32, INTP


def _pointer(context, builder, address, kind):
    return builder.inttoptr(address, context.get_value_type(kind).as_pointer())


@intrinsic
def load_native(typing, address, kind):
    """The number of the type of `kind` at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, arguments[0], kind))

    return kind(types.intp, kind), generate


@intrinsic
def store_native(typing, address, value):
    """Write a number to an address."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], _pointer(context, builder, arguments[0], value))
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


def _prefetches(locality: int):
    @intrinsic
    def prefetch(typing, address):
        def generate(context, builder, signature, arguments):
            address = builder.inttoptr(arguments[0], INT8.as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [address.type, INT32, INT32, INT32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            builder.call(function, [address, INT32(0), INT32(locality), INT32(1)])  # For reading; 1 is data.
            return context.get_dummy_value()

        return types.void(types.intp), generate

    return prefetch


prefetch = _prefetches(3)
"""Request the cache line of an address that will be read soon, into every level of cache."""

prefetch_second_level = _prefetches(2)
"""The same into all but the first-level cache."""


def _array(context, builder, address, shape, kind):
    """A contiguous array, without an owner, in Numba's representation."""
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
    """Cut an array out of a workspace: the array, and the address of the next one, at a multiple of a cache line."""
    array = view(address, count, kind)
    return array, (address + array.nbytes + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


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
    """x *= factor. For an expression of arrays Numba would also compile the messages about shapes that do not fit."""
    for n in range(x.size):
        x[n] *= factor


@deferred_codegen
def copy(source, target):
    """target[:] = source, as a loop for the same reason."""
    for n in range(target.size):
        target[n] = source[n]


def address_in(context, builder, kind, array):
    """For intrinsics: the address of an array's first element."""
    return builder.ptrtoint(make_array(kind)(context, builder, array).data, INTP)


def members_of(context, builder, kind, value):
    """For intrinsics: the members of a named tuple, by name; numbers become addresses or counts, arrays their addresses."""
    members = {}
    for n, (name, member) in enumerate(zip(kind.fields, kind.types, strict=True)):
        x = builder.extract_value(value, n)
        if isinstance(member, types.Array):
            members[name] = address_in(context, builder, member, x)
        elif isinstance(member, types.Integer):
            members[name] = context.cast(builder, x, member, types.intp)
        else:
            members[name] = x
    return kind.instance_class(**members)
