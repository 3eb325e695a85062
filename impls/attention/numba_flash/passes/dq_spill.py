"""A tile's dq between one chunk of keys and the next: spilled to the array that will have it, and reloaded.

Where that array stores numbers in two bytes, these hold the first two of a float32, the third is kept beside them, and the
fourth is rounded away: it is far below what a finished dq is rounded to.
"""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import copy, view
from ..simd.stored import NATIVE

BYTE, TWO_BYTES, LAST, ROUNDING = np.array([8, 16, 0xFF, 0x80], np.uint32)
"""Bits of one byte and of two, the last byte of an integer, and half of the unit of a third byte."""


@deferred_codegen
def pieces_of(columns, lanes, width):
    """(pieces, numbers of a piece, numbers from one to the next) of a tile's columns, which are one piece if contiguous."""
    return (1, columns * lanes, columns * width) if lanes == width else (columns, lanes, width)


@deferred_codegen
def split(bits, first, third):
    """The first two bytes of numbers of four, and the third, to which they are rounded.

    A nan stays a nan: neither that of a processor nor that of a number of two bytes has bits in the fourth byte.
    """
    for n in range(first.size):
        first[n] = bits[n] + ROUNDING >> TWO_BYTES
    for n in range(first.size):
        third[n] = bits[n] + ROUNDING >> BYTE & LAST


@deferred_codegen
def join(first, third, bits):
    """The inverse of `split`."""
    for n in range(first.size):
        bits[n] = np.uint32(first[n]) << TWO_BYTES | np.uint32(third[n]) << BYTE


@deferred_codegen
def spill(sizes, lanes, width, dqt, rows, thirds):
    """Spill a tile's dq, (columns, width), to the tile's rows of dq, which are contiguous, and third bytes to `thirds`.

    `rows` and `thirds` are addresses.
    """
    pieces, length, apart = pieces_of(sizes.head_dim, lanes, width)
    if sizes.storage == NATIVE:
        out = view(rows, pieces * length, dqt[0])
        for n in range(pieces):
            copy(dqt[n * apart :], out[n * length : (n + 1) * length])
    else:
        out, third = view(rows, pieces * length, np.uint16(0)), view(thirds, pieces * apart, np.uint8(0))
        bits = view(dqt.ctypes.data, pieces * apart, np.uint32(0))
        for n in range(pieces):
            split(bits[n * apart :], out[n * length : (n + 1) * length], third[n * apart :])


@deferred_codegen
def reload(sizes, lanes, width, dqt, rows, thirds):
    """The inverse of `spill`."""
    pieces, length, apart = pieces_of(sizes.head_dim, lanes, width)
    if sizes.storage == NATIVE:
        spilled = view(rows, pieces * length, dqt[0])
        for n in range(pieces):
            copy(spilled[n * length :], dqt[n * apart : n * apart + length])
    else:
        spilled, third = view(rows, pieces * length, np.uint16(0)), view(thirds, pieces * apart, np.uint8(0))
        bits = view(dqt.ctypes.data, pieces * apart, np.uint32(0))
        for n in range(pieces):
            join(spilled[n * length : (n + 1) * length], third[n * apart :], bits[n * apart :])
