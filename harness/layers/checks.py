"""What the layers refuse, in the same words in every framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ALIGNMENTS = ("top-left", "bottom-right")


def at_least_one(name: str, value: Any) -> int:
    """The value. Raises `ValueError` unless it is a whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def share(names: tuple[str, str], heads: int, kv_heads: int) -> None:
    """Raise `ValueError` unless key/value heads divide the heads; `names` are those of the two arguments."""
    if heads % kv_heads:
        raise ValueError(f"{names[1]} must divide {names[0]}; {kv_heads} does not divide {heads}")


def head_dim(name: str, value: int | None, width: int, heads: int) -> int:
    """The size of a head: the one given, or the width divided by the heads.

    Raises `ValueError` for heads that do not divide the width, and for a size below one.
    """
    if value is not None:
        return at_least_one(name, value)
    if width % heads:
        raise ValueError(f"{heads} heads do not divide the width {width}; give {name}, or heads that divide the width")
    return width // heads


def dropout(value: float) -> float:
    """The share of weights to drop. Raises `ValueError` unless it is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, not {value!r}")
    return float(value)


def softcap(value: float | None) -> float | None:
    """The cap of the scores, or None. Raises `ValueError` for one that is not above zero."""
    if value is not None and not value > 0:
        raise ValueError(f"softcap must be above zero, not {value!r}; leave it out for none")
    return value


def alignment(name: str, value: Any) -> str | None:
    """The alignment of a causal mask, or None. Raises `ValueError` for another word."""
    if value is not None and value not in ALIGNMENTS:
        raise ValueError(f'{name} must be "top-left" or "bottom-right", not {value!r}')
    return value


def sequence(name: str, shape: Sequence[int | None], width: int | None = None) -> int:
    """The width of a sequence; a size that is not known yet is None.

    Raises `ValueError` unless its shape is (batch, length, width), with the `width` if one is given.
    """
    if len(shape) != 3 or not shape[-1] or (width is not None and shape[-1] != width):
        wanted = "a width above zero" if width is None else f"the width {width}"
        raise ValueError(f"{name} must be (batch, length, width) with {wanted}, not of shape {tuple(shape)}")
    return int(shape[-1])


def mask(shape: Sequence[int | None], scores: Sequence[int | None]) -> None:
    """Raise `ValueError` unless a mask broadcasts to the scores (batch, heads, length, keys). An unknown size is None."""
    sizes = [1] * (len(scores) - len(shape)) + list(shape)
    fits = len(sizes) == len(scores) and all(a in (1, None, b) or b is None for a, b in zip(sizes, scores, strict=True))
    if not fits:
        raise ValueError(
            f"a mask of shape {tuple(shape)} does not broadcast to (batch, heads, length, keys), here {tuple(scores)}"
        )


def boolean(dtype: str) -> None:
    """Raise `ValueError` for a mask of another dtype than bool, which could as well be meant to be added."""
    if dtype != "bool":
        raise ValueError(f"mask must be boolean, True where a query may attend, not {dtype}")


def axes(name: str, shape: Sequence[int], expected: str) -> tuple[int, ...]:
    """The sizes of a weight with three axes. Raises `ValueError` for another number of them, and for a size of zero."""
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"{name} must be {expected}, each above zero, not of shape {tuple(shape)}")
    return tuple(shape)


def loaded(weights: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise `ValueError` unless the weights are those of `shapes`, by name, each of its shape."""
    if unknown := [name for name in weights if name not in shapes]:
        raise ValueError(f"the layer has no {', '.join(unknown)}; expected {', '.join(shapes)}")
    if missing := [name for name in shapes if name not in weights]:
        raise ValueError(f"the weights lack {', '.join(missing)}; expected {', '.join(shapes)}")
    for name, expected in shapes.items():
        if np.shape(weights[name]) != tuple(expected):
            raise ValueError(f"{name} must be of shape {tuple(expected)}, not {tuple(np.shape(weights[name]))}")
