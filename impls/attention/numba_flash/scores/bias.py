"""A bias on a tile of scores: its rows are queries, those of scores are keys, so blocks of it are transposed and added."""

from numba.core import types
from numba.extending import intrinsic

from ..layout.operands import LaneRows
from ..layout.packing import round_up, rows_of_lanes
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INTP
from ..runtime.memory import members_of
from ..simd.matrices import Rows
from ..simd.stored import BFLOAT16, bytes_of, each_form
from ..simd.transpose import transposed
from ..simd.vectors import lanes_of, simd, subroutine

BIAS_VECTORS = 4
"""Vectors of a row that are added together: rows lie far apart, and a cache may not keep a row's line for later."""


def _add_rows(unit, builder, rows, pointer, row):
    """Add vectors to those that lie `row` elements apart from a pointer on."""
    for n, vector in enumerate(rows):
        index = builder.mul(row, INTP(n))
        unit.store(builder, builder.fadd(unit.load(builder, pointer, index), vector), pointer, index)


@intrinsic
def _add_transposed(typing, source, storage, destination, kind):
    """Add the transpose of lanes x lanes numbers.

    source and destination are `Rows`; strides count elements. The source is stored as `storage` says, the destination in the
    type of `kind`.
    """
    signature = types.void(source, types.intp, destination, kind)

    def generate(context, builder, signature, values):
        source, destination = (members_of(context, builder, signature.args[n], values[n]) for n in (0, 2))
        subroutine(builder, f"add_transposed_{kind}", [*source, values[1], *destination], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, storage, destination, destination_row = arguments
        unit = simd(str(kind))
        for stored in each_form(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            indices = [builder.mul(source_row, INTP(n)) for n in range(unit.lanes)]
            rows = transposed(builder, unit.lanes, [unit.load_stored(builder, pointer, index, stored) for index in indices])
            _add_rows(unit, builder, rows, unit.pointer(builder, destination), destination_row)

    return signature, generate


@intrinsic
def _add_transposed_pairs(typing, source, destination, kind):
    """The same for twice as many columns of bfloat16 numbers: two neighbours are transposed as one number of 32 bits."""
    signature = types.void(source, destination, kind)

    def generate(context, builder, signature, values):
        if kind == types.float32:  # Otherwise no numbers of two bytes are read.
            source, destination = (members_of(context, builder, signature.args[n], values[n]) for n in (0, 1))
            subroutine(builder, "add_transposed_pairs", [*source, *destination], body)
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

    return signature, generate


@deferred_codegen
def add_columns(call, rows, out, scratch):
    """out[j, n] += element j of lane n's row of the bias. At most `BIAS_VECTORS` vectors of columns, or less than one."""
    lanes, size = lanes_of(call.kind), out.itemsize
    padded, width = round_up(rows.columns, lanes), rows.tile.vectors * lanes
    for n0 in range(0, width, lanes):
        source, storage = rows_of_lanes(call, rows, n0, scratch)
        j = 0
        while j < padded:
            part = Rows(source.address + j * bytes_of(storage, call.kind), source.row)
            target = Rows(out.ctypes.data + (j * width + n0) * size, width)
            if storage == BFLOAT16 and j + 2 * lanes <= padded:
                _add_transposed_pairs(part, target, call.kind)
                j += 2 * lanes
            else:
                _add_transposed(part, storage, target, call.kind)
                j += lanes


@deferred_codegen
def add_bias(call, tile, keys, s, scratch):
    """Add the bias to a tile's scores for some keys. `scratch` has room for at least one square of vectors."""
    lanes, count = lanes_of(call.kind), keys.last - keys.first
    width, most = tile.vectors * lanes, min(BIAS_VECTORS, scratch.size // lanes // lanes) * lanes
    j = 0
    while j < count:
        columns = min(most, (count - j) // lanes * lanes) if count - j >= lanes else count - j
        rows = LaneRows(call.operands.bias, tile, keys.first + j, columns)
        add_columns(call, rows, s[j * width : round_up(j + columns, lanes) * width], scratch)
        j += columns
