"""The matrix products of a tile, out of micro-kernels: operands of any layout on one side, whole vectors on the other.

Keys and values are read where they lie. Where a micro-kernel would read beyond them, or they are in a half type that it
cannot multiply, the block is copied first.
"""

from impls.kernels.fused.memory import NATIVE, lanes_of, size_of
from impls.kernels.fused.microkernel import MOST_VECTORS, ROWS, product, product_of_halves
from impls.kernels.fused.operands import BY_COLUMN, BY_ROW, FIRST, STORAGE, TURNED, address_of
from impls.kernels.fused.packing import copy_block, round_up
from impls.kernels.fused.pairs import copy_rows_of_pairs, interleave_rows
from impls.kernels.fused.simd import internal
from impls.kernels.fused.tiles import DEPTH, SIDE, TILES, tile_product, turned_values


@internal
def keys_by_lanes(operands, which, sizes, b, kv, k0, keys, depth, vectors, right, copied, out, stored):
    """out[j, n] = Σ_d x[k0 + j, d] right[d, n] for j < keys, zeros up to whole micro-kernels; returns that many rows.

    x is the keys or the values; `copied` is scratch. Unless `stored` is None, `right` is of pairs: [d/2, n].
    """
    kind, size, width = out[0], out.itemsize, vectors * lanes_of(out[0])
    rows = round_up(keys, ROWS)
    done = 0
    if stored is not None:
        of_pairs = operands[which, BY_COLUMN] == 2 and depth % 2 == 0
        if TILES:
            done = keys // SIDE * SIDE if of_pairs and depth % DEPTH == 0 else 0
            for r in range(0, done, SIDE):
                a, b_row, c = address_of(operands, which, b, kv, k0 + r, 0), width * 4, out.ctypes.data + r * width * size
                by_row = operands[which, BY_ROW]
                tile_product(vectors, depth // DEPTH, a, by_row, right.ctypes.data, b_row, c, b_row, False)
        direct, steps, a_step = keys // ROWS * ROWS if of_pairs else 0, (depth + 1) // 2, 2
        row = operands[which, BY_ROW] // 2
    else:
        direct = keys // ROWS * ROWS if sizes[STORAGE] == NATIVE else 0
        row, a_step, steps = operands[which, BY_ROW] // size, operands[which, BY_COLUMN] // size, depth
    for r in range(done, direct, ROWS):
        a, c = address_of(operands, which, b, kv, k0 + r, 0), out.ctypes.data + r * width * size
        product_of_halves(vectors, steps, a, row, a_step, right.ctypes.data, width, c, width, False, kind, stored)
    if direct < rows:
        a, left = copied.ctypes.data, keys - direct
        if stored is not None:
            copy_rows_of_pairs(operands, which, sizes, b, kv, k0 + direct, left, depth, a, rows - direct)
            row, a_step, row_size = steps * 2, 2, steps * 4
        else:
            copy_block(operands, which, sizes, b, kv, k0 + direct, left, FIRST, depth, copied, rows - direct, depth)
            row, a_step, row_size = depth, 1, depth * size
        for r in range(direct, rows, ROWS):
            c = out.ctypes.data + r * width * size
            block = a + (r - direct) * row_size
            product_of_halves(vectors, steps, block, row, a_step, right.ctypes.data, width, c, width, False, kind, stored)
    return rows


@internal
def columns_by_lanes(operands, which, sizes, b, kv, k0, keys, columns, vectors, s, copied, place, out, add, stored):
    """out[c, n] = Σ_j x[k0 + j, c] s[j, n], or += that if `add`. x is the keys or the values; `copied` is scratch.

    Columns up to whole micro-kernels become zeros. Unless `stored` is None, s is of pairs: [j/2, n]. If `place` is
    not zero, x is turned around there for tiles (see `turned_values`).
    """
    kind, size, width = s[0], s.itemsize, vectors * lanes_of(s[0])
    padded = round_up(columns, ROWS)
    if stored is not None:
        done = keys // DEPTH * DEPTH if TILES and place else 0
        if TILES and done > 0:
            a = turned_values(operands, which, sizes, b, kv, k0, done, columns, copied.ctypes.data, place)
            apart, row = sizes[TURNED], width * 4
            for c in range(0, columns, SIDE):
                o = out.ctypes.data + c * row
                tile_product(vectors, done // DEPTH, a + c * apart, apart, s.ctypes.data, row, o, row, add)
        if done < keys:
            left, b_rows = keys - done, s.ctypes.data + done // 2 * width * size
            interleave_rows(operands, which, sizes, b, kv, k0 + done, left, columns, copied.ctypes.data, padded, kind)
            more = add or done > 0
            for c in range(0, padded, ROWS):
                a, o = copied.ctypes.data + c * 4, out.ctypes.data + c * width * size
                product(vectors, (left + 1) // 2, a, 2, padded * 2, b_rows, width, o, width, more, kind, stored)
        return
    direct = columns // ROWS * ROWS if sizes[STORAGE] == NATIVE else 0
    row, column = operands[which, BY_ROW] // size, operands[which, BY_COLUMN] // size
    for c in range(0, direct, ROWS):
        a, o = address_of(operands, which, b, kv, k0, c), out.ctypes.data + c * width * size
        product(vectors, keys, a, column, row, s.ctypes.data, width, o, width, add, kind, stored)
    if direct < columns:
        padded -= direct
        copy_block(operands, which, sizes, b, kv, k0, keys, direct, columns - direct, copied, keys, padded)
        for c in range(0, padded, ROWS):
            a, o = copied.ctypes.data + c * size, out.ctypes.data + (direct + c) * width * size
            product(vectors, keys, a, 1, padded, s.ctypes.data, width, o, width, add, kind, stored)


@internal
def add_keys_by_columns(s, rows, width, right, columns, out, out_row, kind, stored):
    """out[j, c] += Σ_n s[j, n] right[n, c]. s is (rows, width), right (width, columns), columns whole vectors.

    Addresses; the rows of `out` are `out_row` elements apart. Unless `stored` is None, s is of half precision, and `right`
    of pairs: [n/2, c].
    """
    unit, size = lanes_of(kind), size_of(kind)
    vectors = columns // unit
    parts = (vectors + MOST_VECTORS - 1) // MOST_VECTORS
    depth, a_step, a_size = (width // 2, 2, 2) if stored is not None else (width, 1, size)
    for p in range(parts):
        first, last = vectors * p // parts, vectors * (p + 1) // parts
        b = right + first * unit * size
        for r in range(0, rows, ROWS):
            a, c = s + r * width * a_size, out + (r * out_row + first * unit) * size
            product(last - first, depth, a, width, a_step, b, columns, c, out_row, True, kind, stored)
