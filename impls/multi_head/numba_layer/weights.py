"""Weights as the kernel reads them, packed once when they are loaded."""

import ml_dtypes
import numpy as np

from ...attention.numba_flash.runtime.llvm import CACHE_LINE
from ...attention.numba_flash.runtime.processor import has_fast_bfloat16_products
from ...attention.numba_flash.simd.microkernel import MAX_VECTORS
from ...attention.numba_flash.simd.vectors import simd

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def computed_in(dtype: np.dtype) -> np.dtype:
    """The dtype of sums."""
    return np.dtype("float64" if dtype == np.float64 else "float32")


def is_paired(dtype: np.dtype) -> bool:
    """Whether numbers are multiplied in pairs of bfloat16; otherwise they are converted to the dtype of sums."""
    return dtype == BFLOAT16 and has_fast_bfloat16_products()


def panels_of_head(columns: int, lanes: int) -> list[tuple[int, int]]:
    """The first and last vector of each panel of a head: those of `packing.panel_of`."""
    vectors = -(-columns // lanes)
    panels = -(-vectors // MAX_VECTORS)
    return [(vectors * n // panels, vectors * (n + 1) // panels) for n in range(panels)]


def pack_weight(weight: np.ndarray) -> np.ndarray:
    """The panels of a right operand (depth, heads, columns), one after the other, in its dtype, aligned to cache lines."""
    depth, heads, columns = weight.shape
    lanes, pair = simd(computed_in(weight.dtype).name).lanes, 2 if is_paired(weight.dtype) else 1
    steps, vectors = -(-depth // pair), -(-columns // lanes)
    out, at = aligned(steps * pair * heads * vectors * lanes, weight.dtype), 0
    for head in range(heads):
        for first, last in panels_of_head(columns, lanes):
            width, part = (last - first) * lanes, weight[:, head, first * lanes : last * lanes]
            panel = out[at : at + steps * width * pair].reshape(steps, width, pair)
            panel[:] = 0
            for n in range(pair):
                panel[: len(part[n::pair]), : part.shape[1], n] = part[n::pair]
            at += panel.size
    return out


def pack_bias(bias: np.ndarray) -> np.ndarray:
    """A bias (heads, columns) with zeros up to whole vectors of each head, in the dtype of sums."""
    heads, columns = bias.shape
    kind = computed_in(bias.dtype)
    lanes = simd(kind.name).lanes
    out = np.zeros((heads, -(-columns // lanes) * lanes), kind)
    out[:, :columns] = bias
    return out


def aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """An array that begins at a cache line: a vector across two lines takes two loads."""
    memory = np.empty(count * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + count * dtype.itemsize].view(dtype)
