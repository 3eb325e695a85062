"""Queries in, output out: between rows in memory and columns along a vector's lanes, converting dtypes on the way."""

from impls.kernels.fused.memory import lanes_of, load_row, store_row, transpose
from impls.kernels.fused.operands import BY_COLUMN, STORAGE, address_of, query_of
from impls.kernels.fused.simd import internal


@internal
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@internal
def pack_lanes(operands, which, sizes, b, kv, lane, lanes, columns, width, out, rows):
    """out[d, n] = element d of the row of lane n; zeros beyond the last lane and column. `rows` is scratch.

    The operand has a row for each query. out is (columns rounded up to whole vectors, width), rows (lanes of a vector, that
    many columns).
    """
    unit = lanes_of(out[0])
    padded = round_up(columns, unit)
    size = out.itemsize
    for n0 in range(0, width, unit):
        for n in range(unit):
            row = rows[n * padded : (n + 1) * padded]
            if n0 + n < lanes:
                h, i = query_of(sizes, kv, lane + n0 + n)
                source = address_of(operands, which, b, h, i, 0)
                load_row(source, operands[which, BY_COLUMN], columns, sizes[STORAGE], row.ctypes.data, out[0])
                row[columns:] = 0
            else:
                row[:] = 0
        for d0 in range(0, padded, unit):
            transpose(rows.ctypes.data + d0 * size, padded, out.ctypes.data + (d0 * width + n0) * size, width, out[0])


@internal
def copy_block(operands, which, sizes, b, kv, row, rows, column, columns, out, out_rows, out_columns):
    """A block of keys or values in the type that is computed with, zeros where it goes beyond the array."""
    for r in range(out_rows):
        line = out[r * out_columns : (r + 1) * out_columns]
        if r < rows:
            source = address_of(operands, which, b, kv, row + r, column)
            load_row(source, operands[which, BY_COLUMN], columns, sizes[STORAGE], line.ctypes.data, out[0])
            line[columns:] = 0
        else:
            line[:] = 0


@internal
def unpack_lanes(operands, which, sizes, b, kv, lane, lanes, columns, width, x, rows):
    """The inverse of `pack_lanes`: element d of the row of lane n = x[d, n], rounded to its stored form."""
    unit = lanes_of(x[0])
    padded = round_up(columns, unit)
    storage, step, size = sizes[STORAGE], operands[which, BY_COLUMN], x.itemsize
    for n0 in range(0, lanes, unit):
        for d0 in range(0, padded, unit):
            transpose(x.ctypes.data + (d0 * width + n0) * size, width, rows.ctypes.data + d0 * size, padded, x[0])
        for n in range(min(unit, lanes - n0)):
            h, i = query_of(sizes, kv, lane + n0 + n)
            target = address_of(operands, which, b, h, i, 0)
            store_row(rows.ctypes.data + n * padded * size, columns, storage, target, step, x[0])
