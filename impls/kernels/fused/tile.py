"""One tile of queries against all of its keys: the loop of FlashAttention-2 (Dao 2023, arXiv 2307.08691, alg. 1).

Everything is transposed: a tile of scores is (keys, queries), with queries along the vectors' lanes. Keys and values are
then the operand of the micro-kernel that is read an element at a time, so they are used where they lie, and the softmax of a
query never crosses lanes. What is packed is small: the tile's queries on the way in, its output on the way out.
"""

import math

import numba
import numpy as np

from impls.kernels.fused import memory
from impls.kernels.fused.exponential import LOG2E, softmax_1, softmax_2, softmax_3
from impls.kernels.fused.microkernel import ROWS, product_1, product_2, product_3

BATCH, Q_HEADS, KV_HEADS, Q_LEN, KV_LEN, HEAD_DIM, V_HEAD_DIM, LOW, HIGH, STORAGE, TILE_KEYS, MOST_LANES = range(12)
"""Places in the array of sizes. LOW and HIGH are the band: query i may see key j when LOW <= j - i <= HIGH."""

Q, K, V, O, MASK, BIAS = range(6)
"""Rows of the array of operands: an address (0 for none), then strides in bytes along batch, head, row and column."""
ADDRESS, BY_BATCH, BY_HEAD, BY_ROW, BY_COLUMN = range(5)

_jit = numba.njit(error_model="numpy", cache=True)


@_jit
def element(operands, which, b, h, row, column):
    """The address of an element of an operand."""
    x = operands[which]
    return x[ADDRESS] + b * x[BY_BATCH] + h * x[BY_HEAD] + row * x[BY_ROW] + column * x[BY_COLUMN]


@_jit
def read(address, storage, kind):
    """A stored number in the type of `kind`."""
    if storage <= memory.FLOAT32:
        return memory.load(address, kind)
    return type(kind)(memory.load_half(address, storage == memory.BFLOAT16))


@_jit
def multiply(vectors, depth, a, a_row, a_step, b, c, add, kind):
    """The micro-kernel for a tile of so many vectors."""
    if vectors == 3:
        product_3(depth, a, a_row, a_step, b, c, add, kind)
    elif vectors == 2:
        product_2(depth, a, a_row, a_step, b, c, add, kind)
    else:
        product_1(depth, a, a_row, a_step, b, c, add, kind)


@_jit
def fold(vectors, s, rows, m, l, o, o_rows, kind):
    """The softmax step for a tile of so many vectors."""
    if vectors == 3:
        softmax_3(s, rows, m, l, o, o_rows, kind)
    elif vectors == 2:
        softmax_2(s, rows, m, l, o, o_rows, kind)
    else:
        softmax_1(s, rows, m, l, o, o_rows, kind)


@_jit
def pack_queries(operands, sizes, b, kv, lane, lanes, width, factor, packed):
    """packed[d, n] = factor * q of lane n; lanes beyond the last are zero."""
    group = sizes[Q_HEADS] // sizes[KV_HEADS]
    kind = packed[0]
    for n in range(width):
        if n >= lanes:
            for d in range(sizes[HEAD_DIM]):
                packed[d * width + n] = 0
            continue
        h, i = kv * group + (lane + n) // sizes[Q_LEN], (lane + n) % sizes[Q_LEN]
        address, step = element(operands, Q, b, h, i, 0), operands[Q, BY_COLUMN]
        for d in range(sizes[HEAD_DIM]):
            packed[d * width + n] = factor * read(address + d * step, sizes[STORAGE], kind)


@_jit
def copy_block(operands, which, sizes, b, kv, row, rows, column, columns, out, out_rows, out_columns):
    """A block of keys or values in the accumulator's type, zeros where it goes beyond the array."""
    storage, kind, step = sizes[STORAGE], out[0], operands[which, BY_COLUMN]
    for r in range(out_rows):
        start = r * out_columns
        if r >= rows:
            out[start : start + out_columns] = 0
            continue
        address = element(operands, which, b, kv, row + r, column)
        done = 0
        if storage >= memory.BFLOAT16 and step == 2:
            left = memory.widen(address, out.ctypes.data + 4 * start, columns, storage == memory.BFLOAT16)
            done = columns - left
        for c in range(done, columns):
            out[start + c] = read(address + c * step, storage, kind)
        out[start + columns : start + out_columns] = 0


@_jit
def adjust(operands, sizes, b, kv, lane, lanes, width, k0, keys, rows, first, last, softcap, banded, s):
    """Softcap, bias, mask and band on a tile of scores, and -inf on the rows that fill it up."""
    group = sizes[Q_HEADS] // sizes[KV_HEADS]
    kind = s[0]
    nothing = type(kind)(-np.inf)
    if softcap > 0:
        for n in range(keys * width):
            s[n] = softcap * math.tanh(s[n] / softcap) * type(kind)(LOG2E)
    if operands[BIAS, ADDRESS]:
        step = operands[BIAS, BY_COLUMN]
        for n in range(lanes):
            h, i = kv * group + (lane + n) // sizes[Q_LEN], (lane + n) % sizes[Q_LEN]
            address = element(operands, BIAS, b, h, i, k0)
            for j in range(keys):
                s[j * width + n] += type(kind)(LOG2E) * read(address + j * step, sizes[STORAGE], kind)
    if operands[MASK, ADDRESS]:
        step = operands[MASK, BY_COLUMN]
        if operands[MASK, BY_ROW] == 0 and operands[MASK, BY_HEAD] == 0:  # Padding: the same for every query.
            address = element(operands, MASK, b, 0, 0, k0)
            for j in range(keys):
                if memory.load_byte(address + j * step) == 0:
                    s[j * width : (j + 1) * width] = nothing
        else:
            for n in range(lanes):
                h, i = kv * group + (lane + n) // sizes[Q_LEN], (lane + n) % sizes[Q_LEN]
                address = element(operands, MASK, b, h, i, k0)
                for j in range(keys):
                    if memory.load_byte(address + j * step) == 0:
                        s[j * width + n] = nothing
    if banded:
        for j in range(keys):
            key = np.int32(k0 + j)
            for n in range(width):
                seen = first[n] <= key < last[n]
                s[j * width + n] = s[j * width + n] if seen else nothing
    for n in range(keys * width, rows * width):
        s[n] = nothing


@_jit
def visible(sizes, lane, lanes, width, first, last):
    """Each lane's keys, [first, last), into the two arrays; returns (least first, greatest first, least last, most last)."""
    q_len, kv_len = sizes[Q_LEN], sizes[KV_LEN]
    first_least, first_most, last_least, last_most = kv_len, np.int64(0), kv_len, np.int64(0)
    for n in range(width):
        i = (lane + min(n, lanes - 1)) % q_len
        start, end = max(0, i + sizes[LOW]), max(0, min(kv_len, i + sizes[HIGH] + 1))
        first[n], last[n] = start, end
        if start < end:
            first_least, first_most = min(first_least, start), max(first_most, start)
            last_least, last_most = min(last_least, end), max(last_most, end)
        else:  # It sees nothing, so every block needs its mask.
            first_most, last_least = kv_len, 0
    return first_least, first_most, last_least, last_most


@_jit
def attend(operands, sizes, b, kv, lane, lanes, vectors, width, scale, softcap, kind):
    """The output of `lanes` queries of a key/value head, from lane `lane` on: lanes count its queries, head after head."""
    d, dv = sizes[HEAD_DIM], sizes[V_HEAD_DIM]
    dv_rows = (dv + ROWS - 1) // ROWS * ROWS
    tile = sizes[TILE_KEYS]
    native = sizes[STORAGE] <= memory.FLOAT32
    packed = np.empty(d * width, type(kind))
    size = packed.itemsize
    s = np.empty(tile * width, type(kind))
    o = np.zeros(dv_rows * width, type(kind))
    l = np.zeros(width, type(kind))
    m = np.full(width, type(kind)(-np.inf))
    copied = np.empty((ROWS if native else tile) * d, type(kind))
    copied_values = np.empty(tile * (ROWS if native else dv_rows), type(kind))
    first, last = np.empty(width, np.int32), np.empty(width, np.int32)

    factor = scale if softcap > 0 else scale * type(kind)(LOG2E)
    pack_queries(operands, sizes, b, kv, lane, lanes, width, factor, packed)
    first_least, first_most, last_least, last_most = visible(sizes, lane, lanes, width, first, last)
    plain = softcap == 0 and operands[BIAS, ADDRESS] == 0 and operands[MASK, ADDRESS] == 0
    k_row, k_column = operands[K, BY_ROW] // size, operands[K, BY_COLUMN] // size
    v_row, v_column = operands[V, BY_ROW] // size, operands[V, BY_COLUMN] // size

    for k0 in range(first_least, last_most, tile):
        keys = min(tile, last_most - k0)
        rows = (keys + ROWS - 1) // ROWS * ROWS
        direct = keys // ROWS * ROWS if native else 0
        for r in range(0, direct, ROWS):
            multiply(
                vectors, d, element(operands, K, b, kv, k0 + r, 0), k_row, k_column,
                packed.ctypes.data, s.ctypes.data + r * width * size, False, kind,
            )  # fmt: skip
        if direct < rows:
            copy_block(operands, K, sizes, b, kv, k0 + direct, keys - direct, 0, d, copied, rows - direct, d)
            for r in range(direct, rows, ROWS):
                multiply(
                    vectors, d, copied.ctypes.data + (r - direct) * d * size, d, 1,
                    packed.ctypes.data, s.ctypes.data + r * width * size, False, kind,
                )  # fmt: skip
        banded = first_most > k0 or last_least < k0 + keys
        if banded or rows > keys or not plain:
            adjust(operands, sizes, b, kv, lane, lanes, width, k0, keys, rows, first, last, softcap, banded, s)
        fold(vectors, s.ctypes.data, rows, m.ctypes.data, l.ctypes.data, o.ctypes.data, dv_rows, kind)
        direct = dv // ROWS * ROWS if native else 0
        for c in range(0, direct, ROWS):
            multiply(
                vectors, keys, element(operands, V, b, kv, k0, c), v_column, v_row,
                s.ctypes.data, o.ctypes.data + c * width * size, True, kind,
            )  # fmt: skip
        if direct < dv_rows:
            columns = dv_rows - direct
            copy_block(operands, V, sizes, b, kv, k0, keys, direct, dv - direct, copied_values, keys, columns)
            for c in range(direct, dv_rows, ROWS):
                multiply(
                    vectors, keys, copied_values.ctypes.data + (c - direct) * size, 1, columns,
                    s.ctypes.data, o.ctypes.data + c * width * size, True, kind,
                )  # fmt: skip
    write_output(operands, sizes, b, kv, lane, lanes, width, l, o)


@_jit
def write_output(operands, sizes, b, kv, lane, lanes, width, l, o):
    """Divide by the sums of weights, turn around and store; a query without keys gets zeros."""
    group, storage = sizes[Q_HEADS] // sizes[KV_HEADS], sizes[STORAGE]
    kind = o[0]
    for n in range(lanes):
        h, i = kv * group + (lane + n) // sizes[Q_LEN], (lane + n) % sizes[Q_LEN]
        address, step = element(operands, O, b, h, i, 0), operands[O, BY_COLUMN]
        inverse = type(kind)(0) if l[n] == 0 else type(kind)(1) / l[n]
        for c in range(sizes[V_HEAD_DIM]):
            x = inverse * o[c * width + n]
            if storage <= memory.FLOAT32:
                memory.store(address + c * step, x)
            else:
                memory.store_half(address + c * step, np.float32(x), storage == memory.BFLOAT16)
