"""A tile's dq between one chunk of keys and the next, in the memory that will have it when it is finished.

Of a float32 for which there is only room for two bytes, the third is kept beside them, and the fourth rounded away: it is
far below what a finished number is rounded to.
"""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import copy, view
from ..simd.stored import NATIVE

BYTE, TWO_BYTES, LAST, ROUNDING = np.array([8, 16, 0xFF, 0x80], np.uint32)
"""Bits of one byte and of two, the last byte of a whole number, and half of what its third byte counts."""


@deferred_codegen
def pieces_of(columns, lanes, width):
    """(how many, numbers of each, numbers from one to the next): a tile's columns, all at once where they are contiguous."""
    return (1, columns * lanes, columns * width) if lanes == width else (columns, lanes, width)


@deferred_codegen
def split(bits, first, third):
    """The first two bytes of numbers of four, and the third, to which they are rounded.

    A nan stays one: neither that of a processor nor that of a number of two bytes has bits in the fourth.
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
def spill(target, sizes, lanes, width, dqt, thirds):
    """Put away a tile's dq until the next chunk, column by column: the tile's rows of dq, at `target`, are contiguous.

    Where they are numbers of two bytes, these are the first two of a float32, and its third is left at `thirds`: rounded to
    that, it is still far more exact than what it will be.
    """
    pieces, length, apart = pieces_of(sizes.head_dim, lanes, width)
    if sizes.storage == NATIVE:
        put = view(target, pieces * length, dqt[0])
        for n in range(pieces):
            copy(dqt[n * apart :], put[n * length : (n + 1) * length])
    else:
        put, third = view(target, pieces * length, np.uint16(0)), view(thirds, pieces * apart, np.uint8(0))
        bits = view(dqt.ctypes.data, pieces * apart, np.uint32(0))
        for n in range(pieces):
            split(bits[n * apart :], put[n * length : (n + 1) * length], third[n * apart :])


@deferred_codegen
def reload(source, sizes, lanes, width, dqt, thirds):
    """What `spill` has put away, into dqt."""
    pieces, length, apart = pieces_of(sizes.head_dim, lanes, width)
    if sizes.storage == NATIVE:
        put = view(source, pieces * length, dqt[0])
        for n in range(pieces):
            copy(put[n * length :], dqt[n * apart : n * apart + length])
    else:
        put, third = view(source, pieces * length, np.uint16(0)), view(thirds, pieces * apart, np.uint8(0))
        bits = view(dqt.ctypes.data, pieces * apart, np.uint32(0))
        for n in range(pieces):
            join(put[n * length : (n + 1) * length], third[n * apart :], bits[n * apart :])
