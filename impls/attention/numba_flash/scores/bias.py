"""A bias on a tile of scores: rows of queries transposed, and added."""

from numba.core import types
from numba.extending import intrinsic

from ..layout.packing import round_up, rows_of_lanes
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INTP
from ..simd.stored import BFLOAT16, bytes_of, forms, lanes_of
from ..simd.transpose import transposed
from ..simd.vectors import simd, subroutine

AT_ONCE = 4
"""Vectors of a row that are added together: rows lie far apart, and a cache may not keep a line of one for later."""


def _add_rows(unit, builder, rows, pointer, row):
    """Add vectors to those that are so many numbers apart at a pointer."""
    for n, vector in enumerate(rows):
        place = builder.mul(row, INTP(n))
        unit.store(builder, builder.fadd(unit.load(builder, pointer, place), vector), pointer, place)


@intrinsic
def _add_transposed(typing, source, source_row, storage, destination, destination_row, kind):
    """Add a square block of lanes x lanes numbers, transposed in registers.

    Addresses; rows apart in elements. The source is as `storage` says, the destination of the type of `kind`.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"add_transposed_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, storage, destination, destination_row = arguments
        unit = simd(str(kind))
        for stored in forms(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            places = [builder.mul(source_row, INTP(n)) for n in range(unit.lanes)]
            rows = transposed(builder, unit.lanes, [unit.load_stored(builder, pointer, place, stored) for place in places])
            _add_rows(unit, builder, rows, unit.pointer(builder, destination), destination_row)

    return types.void(*[types.intp] * 5, kind), generate


@intrinsic
def _add_transposed_pairs(typing, source, source_row, destination, destination_row, kind):
    """The same for twice as many columns of bfloat16 numbers: two neighbours are transposed as one number of 32 bits."""

    def generate(context, builder, signature, arguments):
        if kind == types.float32:  # Others meet no numbers of two bytes.
            subroutine(builder, "add_transposed_pairs", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, destination, destination_row = arguments
        unit = simd("float32")
        upper, sixteen = unit.integer_constant(0xFFFF0000), unit.integer_constant(16)
        pairs = []
        for n in range(unit.lanes):
            address = builder.add(source, builder.mul(source_row, INTP(2 * n)))
            pairs.append(builder.load(builder.inttoptr(address, unit.integers.as_pointer()), align=2))
        rows = []
        for both in transposed(builder, unit.lanes, pairs):
            rows += [builder.shl(both, sixteen), builder.and_(both, upper)]
        rows = [builder.bitcast(row, unit.vector) for row in rows]
        _add_rows(unit, builder, rows, unit.pointer(builder, destination), destination_row)

    return types.void(*[types.intp] * 4, kind), generate


@deferred_codegen
def add_columns(operands, sizes, tile, column, columns, out, scratch):
    """out[j, n] += element column + j of lane n's row of the bias. As many columns as `AT_ONCE`, or fewer than a vector."""
    unit, size = lanes_of(out[0]), out.itemsize
    padded, width = round_up(columns, unit), tile.vectors * unit
    for n0 in range(0, width, unit):
        source, apart, storage = rows_of_lanes(operands, operands.bias, sizes, tile, n0, column, columns, scratch)
        j = 0
        while j < padded:
            at, target = source + j * bytes_of(storage, out[0]), out.ctypes.data + (j * width + n0) * size
            if storage == BFLOAT16 and j + 2 * unit <= padded:
                _add_transposed_pairs(at, apart, target, width, out[0])
                j += 2 * unit
            else:
                _add_transposed(at, apart, storage, target, width, out[0])
                j += unit


@deferred_codegen
def add_bias(operands, sizes, tile, k0, keys, s, scratch):
    """The bias on a tile's scores for the keys from k0 on. `scratch` has room for squares of vectors, for one at least."""
    unit = lanes_of(s[0])
    width, most = tile.vectors * unit, min(AT_ONCE, scratch.size // unit // unit) * unit
    j = 0
    while j < keys:
        count = min(most, (keys - j) // unit * unit) if keys - j >= unit else keys - j
        add_columns(operands, sizes, tile, k0 + j, count, s[j * width : round_up(j + count, unit) * width], scratch)
        j += count
