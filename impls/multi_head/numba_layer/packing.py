"""The operands of a product in memory as the micro-kernel reads them.

As in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3) 2008: a block of A for the
second-level cache, and panels of B as wide as the micro-kernel's rows. Pairs of bfloat16 numbers lie side by side along the
depth, where the processor multiplies them (`simd.bf16`); other numbers are packed in the type that is computed with.
"""

from typing import NamedTuple

import numpy as np

from ...attention.numba_flash.layout.packing import round_up
from ...attention.numba_flash.runtime.call import part
from ...attention.numba_flash.runtime.deferred_codegen import deferred_codegen
from ...attention.numba_flash.runtime.llvm import CACHE_LINE
from ...attention.numba_flash.runtime.memory import load_native, size_of, view
from ...attention.numba_flash.simd.bf16 import copy_bf16, interleave_rows
from ...attention.numba_flash.simd.matrices import Strided
from ...attention.numba_flash.simd.microkernel import MAX_VECTORS, ROWS
from ...attention.numba_flash.simd.stored import bytes_of, load_row
from ...attention.numba_flash.simd.vectors import lanes_of
from .copies import copy_vectors, interleave_vectors
from .operands import piece_of, row_of


class Number(NamedTuple):
    """How numbers of matrices are stored (`simd.stored`), and a number of the type that is computed with."""

    storage: int
    kind: float


class Panel(NamedTuple):
    """Some columns of one head."""

    head: int
    vector: int
    """The first vector, counted through all heads."""
    vectors: int
    column: int
    """The first column, in its head."""
    columns: int
    """Elements of the last vector beyond them are zeros."""


class Range(NamedTuple):
    """Some rows, columns, or numbers that are multiplied and added: `count` from `first` on."""

    first: int
    count: int


@deferred_codegen
def panel_of(columns, n, kind):
    """Panel n of heads of `columns` columns. The vectors of a head are dealt out evenly: 4 are 2 + 2."""
    lanes = lanes_of(kind)
    vectors = round_up(columns, lanes) // lanes
    of_head = (vectors + MAX_VECTORS - 1) // MAX_VECTORS
    head = n // of_head
    first, last = part(0, vectors, n - head * of_head, of_head)
    return Panel(head, head * vectors + first, last - first, first * lanes, min(columns, last * lanes) - first * lanes)


@deferred_codegen
def packed_depth(depth, stored):
    """The numbers of a packed row: an even number if they are pairs."""
    return round_up(depth, 2) if stored is not None else depth


@deferred_codegen
def packed_size(kind, stored):
    """Bytes of a packed number."""
    return 2 if stored is not None else size_of(kind)


@deferred_codegen
def packed_stride(depth, kind, stored):
    """Numbers from one packed row of A to the next: a row and a cache line. Rows 4,096 bytes apart share cache sets."""
    return packed_depth(depth, stored) + CACHE_LINE // packed_size(kind, stored)


@deferred_codegen
def strip_rows(kind):
    """Rows of A that lie side by side in a packed strip of its transpose: whole vectors and micro-kernels."""
    return max(lanes_of(kind), ROWS)


@deferred_codegen
def pack_row(matrix, row, depth, out, number, stored):
    """Pack some numbers of a row at the address `out`."""
    (storage, kind), start, done = number, row_of(matrix, row), 0
    size = packed_size(kind, stored)
    while done < depth.count:
        offset, count = piece_of(matrix, depth.first + done, depth.count - done, storage, kind)
        if stored is not None:
            copy_bf16(start + offset, 2, count, out + done * size, count)
        else:
            load_row(start + offset, bytes_of(storage, kind), count, storage, out + done * size, kind)
        done += count
    if stored is not None and depth.count % 2:
        view(out + done * size, 1, np.uint16(0))[0] = 0


@deferred_codegen
def row_number(chosen, r):
    """The number of the r-th row, with the numbers of the chosen ones at an address, or 0 for all."""
    return load_native(chosen + r * 8, np.int64(0)) if chosen else r


@deferred_codegen
def pack_rows(matrix, rows, chosen, depth, out, number, stored):
    """Pack rows of A, `packed_stride` apart. Rows of zeros follow up to whole micro-kernels."""
    row = packed_stride(depth.count, number.kind, stored) * packed_size(number.kind, stored)
    for r in range(rows.count):
        pack_row(matrix, row_number(chosen, rows.first + r), depth, out + r * row, number, stored)
    view(out + rows.count * row, (round_up(rows.count, ROWS) - rows.count) * row, np.uint8(0))[:] = 0


@deferred_codegen
def rows_in_batch(matrix, row, count):
    """Those of `count` rows, from `row` on, that are of one batch element and so equally far apart."""
    return min(count, matrix.rows - row % matrix.rows)


@deferred_codegen
def pack_pairs(matrix, columns, depth, number, out, width):
    """out[j, c] = rows 2 j and 2 j + 1 of some columns of a matrix, `depth` being its rows; zeros beyond both."""
    (storage, kind), lanes, k = number, lanes_of(number.kind), 0
    offset, together = piece_of(matrix, columns.first, columns.count, storage, kind)
    while k < depth.count:
        first, row = row_of(matrix, depth.first + k), out + k // 2 * width * 4
        pairs = rows_in_batch(matrix, depth.first + k, depth.count - k) // 2
        if pairs > 0 and together == width:
            interleave_vectors((first + offset, matrix.by_row), pairs, width // lanes, row)
            k += 2 * pairs
            continue
        second, done = row_of(matrix, depth.first + k + 1) if k + 1 < depth.count else 0, 0
        while done < columns.count:
            at, count = piece_of(matrix, columns.first + done, columns.count - done, storage, kind)
            interleave_rows(first + at, second + at if second else 0, 2, count, row + done * 4, count)
            done += count
        view(row + done * 4, width - done, np.int32(0))[:] = 0
        k += 2


@deferred_codegen
def pack_columns(matrix, columns, depth, number, out, width, stored):
    """out[k, c] = element c of some columns of row k of a matrix, `depth` being its rows; zeros up to `width` columns.

    With `stored`, rows are in pairs.
    """
    if stored is not None:
        pack_pairs(matrix, columns, depth, number, out, width)
        return
    storage, kind = number
    size, lanes, k = size_of(kind), lanes_of(kind), 0
    offset, together = piece_of(matrix, columns.first, columns.count, storage, kind)
    while k < depth.count:
        start, row, rows = row_of(matrix, depth.first + k), out + k * width * size, 1
        if together == width:
            rows = rows_in_batch(matrix, depth.first + k, depth.count - k)
            copy_vectors((start + offset, matrix.by_row), rows, width // lanes, row, storage, kind)
        else:
            done = 0
            while done < columns.count:
                at, count = piece_of(matrix, columns.first + done, columns.count - done, storage, kind)
                load_row(start + at, bytes_of(storage, kind), count, storage, row + done * size, kind)
                done += count
            view(row + done * size, width - done, kind)[:] = 0
        k += rows


@deferred_codegen
def pack_a(term, rows, chosen, depth, out, number, stored):
    """Pack a block of A: row by row, or, of a transposed matrix, in strips of `strip_rows` rows, side by side."""
    if term.transposed:
        strip = strip_rows(number.kind)
        row = packed_depth(depth.count, stored) * packed_size(number.kind, stored)
        for r in range(0, rows.count, strip):
            columns = Range(rows.first + r, min(strip, rows.count - r))
            pack_columns(term.a, columns, depth, number, out + r * row, strip, stored)
    else:
        pack_rows(term.a, rows, chosen, depth, out, number, stored)


@deferred_codegen
def packed_rows(transposed, depth, r, block, kind, stored):
    """The micro-kernel's rows of a packed block of A, from row r on; a step is a number, or a pair."""
    size, step = packed_size(kind, stored), 2 if stored is not None else 1
    if transposed:
        strip, height = strip_rows(kind), packed_depth(depth.count, stored)
        return Strided(block + (r // strip * strip * height + r % strip * step) * size, step, strip * step)
    stride = packed_stride(depth.count, kind, stored)
    return Strided(block + r * stride * size, stride, step)
