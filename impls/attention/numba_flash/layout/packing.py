"""Queries in, output out: between rows in memory and columns along a vector's lanes, converting dtypes on the way."""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import prefetch
from ..simd.matrices import Rows
from ..simd.stored import NATIVE, bytes_of, load_row, store_row
from ..simd.transpose import transpose_block
from ..simd.vectors import lanes_of
from .operands import address_of, query_after, query_of, start_of


@deferred_codegen
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@deferred_codegen
def are_whole_vectors(call, rows, i, size):
    """Whether a vector's lanes, from row i of a head on, are rows of that head: whole vectors of adjacent elements."""
    lanes = lanes_of(call.kind)
    return i + lanes <= call.sizes.q_len and rows.columns % lanes == 0 and rows.operand.by_column == size


@deferred_codegen
def rows_of_lanes(call, rows, n0, copied):
    """The rows of a vector's lanes, from lane n0 on: (`Rows` that count elements, how they are stored).

    Rows that are not of one head, or not whole vectors, are copied in the type that is computed with: (lanes of a vector,
    columns up to whole vectors), with zeros beyond the last of both.
    """
    tile, operand, lanes, storage = rows.tile, rows.operand, lanes_of(call.kind), call.sizes.storage
    padded, size = round_up(rows.columns, lanes), bytes_of(storage, call.kind)
    h, i = query_of(call.sizes, tile.kv, tile.lane + n0)
    if n0 + lanes <= tile.lanes and are_whole_vectors(call, rows, i, size):
        return Rows(address_of(operand, tile.b, h, i, rows.column), operand.by_row // size), storage
    for n in range(lanes):
        row = copied[n * padded : (n + 1) * padded]
        if n0 + n < tile.lanes:
            address = address_of(operand, tile.b, h, i, rows.column)
            load_row(address, operand.by_column, rows.columns, storage, row.ctypes.data, call.kind)
            row[rows.columns :] = 0
            h, i = query_after(call.sizes, h, i)
        else:
            row[:] = 0
    return Rows(np.int64(copied.ctypes.data), padded), np.int64(NATIVE)


@deferred_codegen
def pack_lanes(call, rows, factor, out, scratch):
    """out[d, n] = factor times element d of the row of lane n of a tile; zeros beyond the last lane and column.

    out is (columns rounded up to whole vectors, width), scratch (1 + that many columns, lanes of a vector).
    """
    lanes, size = lanes_of(call.kind), out.itemsize
    padded, width = round_up(rows.columns, lanes), rows.tile.vectors * lanes
    factors, copied = scratch[:lanes], scratch[lanes:]
    factors[:] = factor
    for n0 in range(0, width, lanes):
        source, storage = rows_of_lanes(call, rows, n0, copied)
        for d0 in range(0, padded, lanes):
            part = Rows(source.address + d0 * bytes_of(storage, call.kind), source.row)
            target = Rows(out.ctypes.data + (d0 * width + n0) * size, width)
            transpose_block(part, storage, factors.ctypes.data, target, call.kind)


@deferred_codegen
def unpack_lanes(call, rows, x, factors, scratch):
    """The inverse of `pack_lanes`: element d of the row of lane n = factors[n] x[d, n], rounded to its stored form.

    x is (columns rounded up to whole vectors, width), scratch as in `pack_lanes`.
    """
    tile, operand, lanes, storage, size = rows.tile, rows.operand, lanes_of(call.kind), call.sizes.storage, x.itemsize
    padded, width = round_up(rows.columns, lanes), tile.vectors * lanes
    for n0 in range(0, tile.lanes, lanes):
        h, i = query_of(call.sizes, tile.kv, tile.lane + n0)
        target = Rows(address_of(operand, tile.b, h, i, 0), operand.by_row // size)
        direct = storage == NATIVE and n0 + lanes <= tile.lanes and are_whole_vectors(call, rows, i, size)
        if not direct:
            target = Rows(np.int64(scratch.ctypes.data), padded)
        for d0 in range(0, padded, lanes):
            source = Rows(x.ctypes.data + (d0 * width + n0) * size, width)
            part = Rows(target.address + d0 * size, target.row)
            transpose_block(source, NATIVE, factors.ctypes.data + n0 * size, part, call.kind)
        if not direct:
            for n in range(min(lanes, tile.lanes - n0)):
                row, copy = address_of(operand, tile.b, h, i, 0), scratch.ctypes.data + n * padded * size
                store_row(copy, rows.columns, storage, row, operand.by_column, call.kind)
                h, i = query_after(call.sizes, h, i)


@deferred_codegen
def prefetch_rows(call, block):
    """Prefetch a block's rows, so that they are in the cache when its turn comes."""
    size = bytes_of(call.sizes.storage, call.kind)
    if block.operand.by_column == size:
        for row in range(block.rows):
            address = address_of(block.operand, block.b, block.h, block.row + row, 0)
            for at in range(0, block.columns * size, CACHE_LINE):
                prefetch(address + at)


@deferred_codegen
def copy_block(call, block, out, out_rows, out_columns):
    """Copy a block in the type that is computed with, and write zeros beyond it: out is (out_rows, out_columns)."""
    operand, source, target, columns = block.operand, start_of(block), out.ctypes.data, block.columns
    row = out_columns * out.itemsize
    for r in range(block.rows):
        load_row(source + r * operand.by_row, operand.by_column, columns, call.sizes.storage, target + r * row, call.kind)
    if columns < out_columns:
        for r in range(block.rows):
            out[r * out_columns + columns : (r + 1) * out_columns] = 0
    out[block.rows * out_columns : out_rows * out_columns] = 0
