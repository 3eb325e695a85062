"""Queries in, output out: between rows in memory and columns along a vector's lanes, converting dtypes on the way."""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import prefetch
from ..simd.stored import NATIVE, bytes_of, lanes_of, load_row, store_row
from ..simd.transpose import transpose_block
from .operands import address_of, query_after, query_of


@deferred_codegen
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@deferred_codegen
def rows_are_contiguous(operands, operand, sizes, row, columns, unit, size):
    """Whether the rows of a vector's queries, from `row` on, are one head's, and each is whole vectors of stored numbers."""
    return row + unit <= sizes.q_len and columns % unit == 0 and operand.by_column == size


@deferred_codegen
def rows_of_lanes(operands, operand, sizes, tile, n0, column, columns, copied):
    """(address, numbers from one to the next, how they are stored) of the rows of a vector's queries, those from lane n0 on.

    The operand has a row for each query; so many columns are wanted, from `column` on. Rows that are not one head's, or not
    whole vectors, are copied in the type that is computed with: (lanes of a vector, columns up to whole vectors), with zeros
    beyond the last of both.
    """
    unit, storage = lanes_of(copied[0]), sizes.storage
    padded, size = round_up(columns, unit), bytes_of(storage, copied[0])
    h, i = query_of(sizes, tile.kv, tile.lane + n0)
    if n0 + unit <= tile.lanes and rows_are_contiguous(operands, operand, sizes, i, columns, unit, size):
        return address_of(operand, tile.b, h, i, column), operand.by_row // size, storage
    for n in range(unit):
        row = copied[n * padded : (n + 1) * padded]
        if n0 + n < tile.lanes:
            address = address_of(operand, tile.b, h, i, column)
            load_row(address, operand.by_column, columns, storage, row.ctypes.data, copied[0])
            row[columns:] = 0
            h, i = query_after(sizes, h, i)
        else:
            row[:] = 0
    return np.int64(copied.ctypes.data), padded, np.int64(NATIVE)


@deferred_codegen
def pack_lanes(operands, operand, sizes, tile, column, columns, factor, out, scratch):
    """out[d, n] = factor times element column + d of the row of lane n of a tile; zeros beyond the last lane and column.

    out is (columns rounded up to whole vectors, width), scratch (1 + that many columns, lanes of a vector).
    """
    unit, padded, width = lanes_of(out[0]), round_up(columns, lanes_of(out[0])), tile.vectors * lanes_of(out[0])
    factors, rows = scratch[:unit], scratch[unit:]
    factors[:] = factor
    for n0 in range(0, width, unit):
        source, apart, storage = rows_of_lanes(operands, operand, sizes, tile, n0, column, columns, rows)
        for d0 in range(0, padded, unit):
            at, target = source + d0 * bytes_of(storage, out[0]), out.ctypes.data + (d0 * width + n0) * out.itemsize
            transpose_block(at, apart, storage, factors.ctypes.data, target, width, out[0])


@deferred_codegen
def prefetch_rows(operands, operand, sizes, b, h, rows, columns, kind):
    """Prefetch the first rows of a head, so that they are there when it is its turn."""
    size = bytes_of(sizes.storage, kind)
    if operand.by_column == size:
        for row in range(rows):
            address = address_of(operand, b, h, row, 0)
            for at in range(0, columns * size, CACHE_LINE):
                prefetch(address + at)


@deferred_codegen
def copy_block(operands, operand, sizes, b, kv, row, rows, column, columns, out, out_rows, out_columns):
    """A block of keys or values in the type that is computed with, zeros where it goes beyond the array."""
    source, by_row, by_column = (
        address_of(operand, b, kv, row, column),
        operand.by_row,
        operand.by_column,
    )
    target, apart = out.ctypes.data, out_columns * out.itemsize
    for r in range(rows):
        load_row(source + r * by_row, by_column, columns, sizes.storage, target + r * apart, out[0])
    if columns < out_columns:
        for r in range(rows):
            out[r * out_columns + columns : (r + 1) * out_columns] = 0
    out[rows * out_columns : out_rows * out_columns] = 0


@deferred_codegen
def unpack_lanes(operands, operand, sizes, tile, columns, x, factors, scratch):
    """The inverse of `pack_lanes`: element d of the row of lane n = factors[n] x[d, n], rounded to its stored form.

    x is (columns rounded up to whole vectors, width), scratch as in `pack_lanes`.
    """
    unit = lanes_of(x[0])
    padded, width = round_up(columns, unit), tile.vectors * unit
    storage, step, size = sizes.storage, operand.by_column, x.itemsize
    native = storage == NATIVE
    for n0 in range(0, tile.lanes, unit):
        h, i = query_of(sizes, tile.kv, tile.lane + n0)
        target, apart = address_of(operand, tile.b, h, i, 0), operand.by_row // size
        direct = native and n0 + unit <= tile.lanes and rows_are_contiguous(operands, operand, sizes, i, columns, unit, size)
        if not direct:
            target, apart = scratch.ctypes.data, padded
        for d0 in range(0, padded, unit):
            source = x.ctypes.data + (d0 * width + n0) * size
            transpose_block(source, width, NATIVE, factors.ctypes.data + n0 * size, target + d0 * size, apart, x[0])
        if not direct:
            for n in range(min(unit, tile.lanes - n0)):
                row = address_of(operand, tile.b, h, i, 0)
                store_row(scratch.ctypes.data + n * padded * size, columns, storage, row, step, x[0])
                h, i = query_after(sizes, h, i)
