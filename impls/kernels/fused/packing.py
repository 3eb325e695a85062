"""Queries in, output out: between rows in memory and columns along a vector's lanes, converting dtypes on the way."""

from impls.kernels.fused.memory import (
    FLOAT32,
    lanes_of,
    load_row,
    prefetch,
    size_of,
    store_row,
    transpose,
)
from impls.kernels.fused.operands import BY_COLUMN, BY_ROW, Q_LEN, STORAGE, address_of, query_of
from impls.kernels.fused.simd import LINE, internal


@internal
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@internal
def lie_as_they_are(operands, which, sizes, row, columns, unit, size):
    """Whether the rows of a vector's queries, from `row` on, are one head's, and each is whole vectors of native numbers."""
    of_one_head = row + unit <= sizes[Q_LEN]
    return of_one_head and columns % unit == 0 and sizes[STORAGE] <= FLOAT32 and operands[which, BY_COLUMN] == size


@internal
def pack_lanes(operands, which, sizes, b, kv, lane, lanes, columns, width, factor, out, scratch):
    """out[d, n] = factor times element d of the row of lane n; zeros beyond the last lane and column.

    The operand has a row for each query. out is (columns rounded up to whole vectors, width), scratch (1 + that many
    columns, lanes of a vector).
    """
    unit = lanes_of(out[0])
    padded = round_up(columns, unit)
    size = out.itemsize
    factors, rows = scratch[:unit], scratch[unit:]
    factors[:] = factor
    for n0 in range(0, width, unit):
        h, i = query_of(sizes, kv, lane + n0)
        source, apart = address_of(operands, which, b, h, i, 0), operands[which, BY_ROW] // size
        if n0 + unit > lanes or not lie_as_they_are(operands, which, sizes, i, columns, unit, size):
            source, apart = rows.ctypes.data, padded
            for n in range(unit):
                row = rows[n * padded : (n + 1) * padded]
                if n0 + n < lanes:
                    h, i = query_of(sizes, kv, lane + n0 + n)
                    at = address_of(operands, which, b, h, i, 0)
                    load_row(at, operands[which, BY_COLUMN], columns, sizes[STORAGE], row.ctypes.data, out[0])
                    row[columns:] = 0
                else:
                    row[:] = 0
        for d0 in range(0, padded, unit):
            target = out.ctypes.data + (d0 * width + n0) * size
            transpose(source + d0 * size, apart, factors.ctypes.data, target, width, out[0])


@internal
def ask_for_rows(operands, which, sizes, b, h, rows, columns, kind):
    """Prefetch the first rows of a head, so that they are there when it is its turn."""
    size = size_of(kind) if sizes[STORAGE] <= FLOAT32 else 2
    if operands[which, BY_COLUMN] == size:
        for row in range(rows):
            address = address_of(operands, which, b, h, row, 0)
            for at in range(0, columns * size, LINE):
                prefetch(address + at)


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
def unpack_lanes(operands, which, sizes, b, kv, lane, lanes, columns, width, x, factors, scratch):
    """The inverse of `pack_lanes`: element d of the row of lane n = factors[n] x[d, n], rounded to its stored form.

    x is (columns rounded up to whole vectors, width), scratch as in `pack_lanes`.
    """
    unit = lanes_of(x[0])
    padded = round_up(columns, unit)
    storage, step, size = sizes[STORAGE], operands[which, BY_COLUMN], x.itemsize
    for n0 in range(0, lanes, unit):
        h, i = query_of(sizes, kv, lane + n0)
        target, apart = address_of(operands, which, b, h, i, 0), operands[which, BY_ROW] // size
        direct = n0 + unit <= lanes and lie_as_they_are(operands, which, sizes, i, columns, unit, size)
        if not direct:
            target, apart = scratch.ctypes.data, padded
        for d0 in range(0, padded, unit):
            source = x.ctypes.data + (d0 * width + n0) * size
            transpose(source, width, factors.ctypes.data + n0 * size, target + d0 * size, apart, x[0])
        if not direct:
            for n in range(min(unit, lanes - n0)):
                h, i = query_of(sizes, kv, lane + n0 + n)
                row = address_of(operands, which, b, h, i, 0)
                store_row(scratch.ctypes.data + n * padded * size, columns, storage, row, step, x[0])
