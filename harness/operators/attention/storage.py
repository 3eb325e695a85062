"""The same values in memory as callers have them: each variation says which fault it is for.

The arrays still say that they can be written unless they are "read-only". An implementation sees these strides where its
framework's arrays can have them and the adapter does not copy; elsewhere the case is not examined.
"""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
from collections.abc import Callable

import numpy as np

from harness.operators.attention.inputs import Inputs

_TENSORS = ("q", "k", "v", "do")

Place = Callable[[np.ndarray], np.ndarray]
"""An array of equal values, elsewhere in memory."""


def _tensors(place: Place) -> Callable[[Inputs], Inputs]:
    """Apply to q, k, v and do."""

    def varied(inputs: Inputs) -> Inputs:
        arrays = {name: x for name in _TENSORS if (x := getattr(inputs, name)) is not None}
        return dataclasses.replace(inputs, **{name: place(x) for name, x in arrays.items()})

    varied.__doc__ = place.__doc__
    return varied


def _extras(place: Place) -> Callable[[Inputs], Inputs]:
    """Apply to mask and bias."""
    return lambda inputs: dataclasses.replace(inputs, **{name: place(x) for name, x in inputs.extras.items()})


def _strided(x: np.ndarray) -> np.ndarray:
    """A view of an array stored (batch, length, heads, dim), as a projection leaves it."""
    return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)


def _transposed(x: np.ndarray) -> np.ndarray:
    """The last two axes stored the other way round, so that the last is not contiguous."""
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def _sliced(x: np.ndarray) -> np.ndarray:
    """Every second row of a longer array, whose other rows are nan: whoever reads them shows it."""
    twice = np.full((*x.shape[:2], 2 * x.shape[2], x.shape[3]), np.nan, x.dtype)
    twice[:, :, ::2] = x
    return twice[:, :, ::2]


def _reversed(x: np.ndarray) -> np.ndarray:
    """Stored from the last row to the first: a negative stride."""
    return np.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :]


def _offset(x: np.ndarray) -> np.ndarray:
    """Beginning one element into a buffer, as a slice of a tensor does: aligned to its elements and to nothing more."""
    buffer = np.empty(x.size + 64, x.dtype)
    # The buffer itself may lie anywhere; 64 bytes are the widest vector register.
    start = -(buffer.ctypes.data // x.itemsize) % (64 // x.itemsize) + 1
    moved = buffer[start : start + x.size].reshape(x.shape)
    moved[...] = x
    return moved


def _protected(x: np.ndarray) -> np.ndarray:
    """On pages of its own that the processor lets nobody write, though the array says that it can be written: who writes
    to an input, if only for a moment, is ended by the signal SIGSEGV."""
    size = max(1, x.nbytes)
    pages = mmap.mmap(-1, size)
    protected = np.frombuffer(pages, x.dtype, x.size).reshape(x.shape)
    protected[...] = x
    libc = ctypes.CDLL(None, use_errno=True)
    if x.nbytes and libc.mprotect(ctypes.c_void_p(protected.ctypes.data), ctypes.c_size_t(size), mmap.PROT_READ):
        raise OSError(ctypes.get_errno(), "mprotect refused to protect an input")
    return protected


def _expanded(inputs: Inputs) -> Inputs:
    """One batch element for all, and one key/value head for all, by a stride of zero; the gradient of the output one number,
    as that of a sum is."""

    def repeated(x: np.ndarray, *axes: int) -> np.ndarray:
        first = np.ascontiguousarray(x[tuple(slice(0, 1) if n in axes else slice(None) for n in range(x.ndim))])
        strides = [0 if n in axes else stride for n, stride in enumerate(first.strides)]
        return np.lib.stride_tricks.as_strided(first, x.shape, strides)

    do = None if inputs.do is None else repeated(inputs.do, *range(4))
    return dataclasses.replace(inputs, q=repeated(inputs.q, 0), k=repeated(inputs.k, 0, 1), v=repeated(inputs.v, 1), do=do)


def _expanded_extra(x: np.ndarray) -> np.ndarray:
    """The same for every batch element and head, by a stride of zero."""
    first = np.ascontiguousarray(x[tuple(slice(0, 1) if n < x.ndim - 2 else slice(None) for n in range(x.ndim))])
    strides = [0 if n < x.ndim - 2 else stride for n, stride in enumerate(first.strides)]
    return np.lib.stride_tricks.as_strided(first, x.shape, strides)


def _fused(inputs: Inputs) -> Inputs:
    """q, k and v as parts of one buffer (batch, length, 3, heads, dim), as one projection makes them."""
    batch, heads, length, dim = inputs.q.shape
    buffer = np.empty((batch, length, 3, heads, dim), inputs.q.dtype)
    for n, x in enumerate((inputs.q, inputs.k, inputs.v)):
        buffer[:, :, n] = x.transpose(0, 2, 1, 3)
    q, k, v = (buffer[:, :, n].transpose(0, 2, 1, 3) for n in range(3))
    return dataclasses.replace(inputs, q=q, k=k, v=v)


def _one_array(inputs: Inputs) -> Inputs:
    """q, k and v the very same array."""
    return dataclasses.replace(inputs, k=inputs.q, v=inputs.q)


def _read_only(inputs: Inputs) -> Inputs:
    """Arrays that raise when they are written to."""
    for array in (inputs.q, inputs.k, inputs.v, inputs.mask, inputs.bias, inputs.do):
        if array is not None:
            array.flags.writeable = False
    return inputs


def _all_protected(inputs: Inputs) -> Inputs:
    return _extras(_protected)(_tensors(_protected)(inputs))


PLACES: dict[str, Callable[[Inputs], Inputs]] = {
    "strided": _tensors(_strided),
    "transposed": _tensors(_transposed),
    "sliced": _tensors(_sliced),
    "reversed": _tensors(_reversed),
    "expanded": _expanded,
    "offset": _tensors(_offset),
    "fused": _fused,
    "one-array": _one_array,
    "read-only": _read_only,
    "protected": _all_protected,
    "strided-extras": _extras(_transposed),
    "reversed-extras": _extras(_reversed),
    "expanded-extras": _extras(_expanded_extra),
}
