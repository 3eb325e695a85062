"""The formula with one thing wrong, in float64: what an output may turn out to equal.

Each variant is a well-known mistake and the words for it. None of this decides a verdict; it explains one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem

MAX_ELEMENTS = 2**22
"""Score elements beyond which a failure is not explained: dozens of whole score matrices are computed."""

MAX_ELEMENTS_FOR_PAIRS = 2**10
"""The same for two mistakes at once, of which there are hundreds."""


@dataclass(frozen=True)
class Formula:
    """Steps of the formula that a mistake replaces. The defaults are the contract."""

    problem: Problem
    inputs: Inputs
    scale: float | None = None
    band: tuple[int, int] | None = None
    mask: str = "blocks"
    """"blocks" (what is False), "ignored", "inverted", "transposed", "added" (as 0 and 1), "zeroes" (the scores)."""
    bias: str = "added"
    """"added", "ignored", "subtracted", "scaled" (added before the scale)."""
    softcap: str = "before"
    """"before" bias and mask, "after", "ignored"."""
    heads: str = "repeated"
    """Which key/value head a query head reads: "repeated" (h // group), "tiled" (h % kv_heads), "first"."""
    axis: int = -1
    normalised: bool = True
    one_more: bool = False
    """1 added to the sum of weights."""
    empty: float | None = 0.0
    """A row with nothing to attend to; None is the mean of all values."""
    first_key: int = 0
    last_key: int | None = None
    """Where the keys that count end; None for all."""

    def output(self) -> np.ndarray:
        """o, float64."""
        problem, inputs = self.problem, self.inputs
        q, k, v = (x.astype(np.float64) for x in (inputs.q, inputs.k, inputs.v))
        index = {
            "repeated": np.arange(problem.q_heads) // problem.group,
            "tiled": np.arange(problem.q_heads) % problem.kv_heads,
            "first": np.zeros(problem.q_heads, int),
        }[self.heads]
        k, v = k[:, index], v[:, index]
        scale = problem.scale if self.scale is None else self.scale
        s = scale * (q @ k.swapaxes(-1, -2))
        if self.softcap == "before":
            s = self._capped(s)
        s = self._biased(s, scale)
        if self.softcap == "after":
            s = self._capped(s)
        seen = self._seen() & (s > -np.inf)
        if inputs.mask is not None and self.mask == "added":
            s = s + inputs.mask
        if inputs.mask is not None and self.mask == "zeroes":
            s = s * inputs.mask
        kept = slice(self.first_key, self.last_key)
        seen, s, v = seen[..., kept], s[..., kept], v[..., kept, :]
        p = _softmax(np.where(seen, s, -np.inf), self.axis, self.normalised, self.one_more)
        o = p @ v
        rows = ~seen.any(axis=-1, keepdims=True)
        mean = v.mean(axis=2, keepdims=True) if v.shape[2] else 0.0
        return np.where(rows, mean if self.empty is None else self.empty, o)

    def _capped(self, s: np.ndarray) -> np.ndarray:
        cap = self.problem.softcap
        return s if cap is None else cap * np.tanh(s / cap)

    def _biased(self, s: np.ndarray, scale: float) -> np.ndarray:
        if self.inputs.bias is None or self.bias == "ignored":
            return s
        bias = self.inputs.bias.astype(np.float64)
        return s + {"added": 1.0, "subtracted": -1.0, "scaled": abs(scale)}[self.bias] * bias

    def _seen(self) -> np.ndarray:
        problem = self.problem
        low, high = problem.band if self.band is None else self.band
        distance = np.arange(problem.kv_len) - np.arange(problem.q_len)[:, None]
        shape = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
        seen = np.broadcast_to((distance >= low) & (distance <= high), shape)
        mask = self.inputs.mask
        if mask is None or self.mask in ("ignored", "added", "zeroes"):
            return seen
        if self.mask == "transposed":
            return seen & np.broadcast_to(mask, shape).swapaxes(-1, -2)
        return seen & (mask if self.mask == "blocks" else ~mask)


def _softmax(s: np.ndarray, axis: int, normalised: bool, one_more: bool) -> np.ndarray:
    m = s.max(axis=axis, keepdims=True, initial=-np.inf)
    p = np.exp(s - np.where(np.isfinite(m), m, 0.0))
    if not normalised:
        return p
    total = p.sum(axis=axis, keepdims=True)
    if one_more:
        total = total + np.exp(-np.where(np.isfinite(m), m, 0.0))
    return p / np.where(total > 0, total, 1.0)


def variants(problem: Problem, inputs: Inputs) -> Iterator[tuple[str, np.ndarray]]:
    """(what is wrong, o) for every mistake that can be made in this problem; "without the scale", say."""
    right = Formula(problem, inputs)
    for words, changes in _changes(problem, inputs):
        yield words, dataclasses.replace(right, **changes).output()
    yield from _misread(problem, inputs)


def pairs(problem: Problem, inputs: Inputs) -> Iterator[tuple[str, np.ndarray]]:
    """The same for two mistakes at once, where the problem is small enough to try them all."""
    if problem.score_elements > MAX_ELEMENTS_FOR_PAIRS:
        return
    right = Formula(problem, inputs)
    for (first, one), (second, other) in itertools.combinations(_changes(problem, inputs), 2):
        if not one.keys() & other.keys():
            yield f"{first} and {second}", dataclasses.replace(right, **one, **other).output()


def _changes(problem: Problem, inputs: Inputs) -> Iterator[tuple[str, dict]]:
    d, root = problem.head_dim, math.sqrt(problem.head_dim)
    yield "with its default scale 1/sqrt(head_dim), not the one given", {"scale": 1 / root}
    yield "without the scale", {"scale": 1.0}
    yield "with scores multiplied by sqrt(head_dim), not divided", {"scale": root}
    yield "with the scale 1/head_dim", {"scale": 1 / d}
    yield "with the scale squared", {"scale": problem.scale**2}
    yield "with the scale 1/sqrt(q_heads * head_dim)", {"scale": 1 / math.sqrt(d * problem.q_heads)}
    if problem.v_head_dim != d:
        yield "with the scale 1/sqrt(v_head_dim)", {"scale": 1 / math.sqrt(problem.v_head_dim)}
    yield "with the scale 1/sqrt(head_dim + 1)", {"scale": 1 / math.sqrt(d + 1)}
    for padded in (16, 32, 64, 128, 256):
        if padded > d:
            yield f"with the scale 1/sqrt({padded}), of a padded head size", {"scale": 1 / math.sqrt(padded)}
            break
    yield "with the sign of the scale lost", {"scale": -problem.scale}
    if inputs.bias is None and problem.softcap is None:
        yield "with 2 to the power of the scores, not e", {"scale": problem.scale * math.log(2)}
    yield from _bands(problem)
    if inputs.mask is not None:
        yield "with the boolean mask ignored", {"mask": "ignored"}
        yield "with the boolean mask inverted (True = may attend)", {"mask": "inverted"}
        yield "with the boolean mask added to the scores as 0 and 1", {"mask": "added"}
        yield "with masked scores set to zero, which still get weight", {"mask": "zeroes"}
        if problem.q_len == problem.kv_len:
            yield "with the mask transposed (queries and keys swapped)", {"mask": "transposed"}
    if inputs.bias is not None:
        yield "with the bias ignored", {"bias": "ignored"}
        yield "with the bias subtracted", {"bias": "subtracted"}
        yield "with the bias added before the scale", {"bias": "scaled"}
    if problem.softcap is not None:
        yield "with the softcap ignored", {"softcap": "ignored"}
        yield "with the softcap after bias and mask", {"softcap": "after"}
    if problem.group > 1:
        yield "with key/value heads tiled (h % kv_heads); query head h reads h // group", {"heads": "tiled"}
    if problem.kv_heads > 1:
        yield "with key/value head 0 for every query head", {"heads": "first"}
    yield "with softmax over the queries; the weights of a query sum to one over its keys", {"axis": -2}
    yield "with softmax over the heads; the weights of a query sum to one over its keys", {"axis": 1}
    yield "with weights that are not divided by their sum", {"normalised": False}
    yield "with 1 added to the sum of the weights", {"one_more": True}
    yield "with rows that have nothing to attend to as the mean of all values, not zero", {"empty": None}
    yield "with rows that have nothing to attend to as nan, not zero", {"empty": math.nan}
    tiles: dict[int, list[str]] = {}
    for tile in (8, 16, 32, 64, 128, 256):
        rest = problem.kv_len % tile
        if rest and problem.kv_len > tile:
            tiles.setdefault(problem.kv_len - rest, []).append(str(tile))
    for end, unfilled in tiles.items():
        words = f"without the keys from {end} on, which do not fill a tile of {'/'.join(unfilled)}"
        yield words, {"last_key": end}
    if problem.kv_len > 1:
        yield "without the last key", {"last_key": -1}
        yield "without the first key", {"first_key": 1}


def _bands(problem: Problem) -> Iterator[tuple[str, dict]]:
    low, high = problem.band
    everything = (-problem.q_len, problem.kv_len)
    shift = problem.kv_len - problem.q_len
    if problem.causal and shift:
        other = "top-left" if problem.causal == "bottom-right" else "bottom-right"
        yield f"with {other} causal alignment", {"band": problem.replace(causal=other).band}
    if problem.causal:
        yield "without the causal mask", {"band": problem.replace(causal=None).band}
        yield "with a strict causal mask, which hides the diagonal", {"band": (low, high - 1)}
        yield "with a causal mask that lets each query see one key of the future", {"band": (low, high + 1)}
        yield "with the causal mask the wrong way round", {"band": (-high, everything[1])}
    if problem.window:
        left, right = problem.window
        yield "without the window", {"band": problem.replace(window=None).band}
        if left >= 0:
            yield "with a window one key too wide on the left", {"band": (low - 1, high)}
            yield "with a window one key too narrow on the left", {"band": (low + 1, high)}
        if right >= 0:
            yield "with a window one key too wide on the right", {"band": (low, high + 1)}
            yield "with a window one key too narrow on the right", {"band": (low, high - 1)}
        yield "with left and right of the window swapped", {"band": problem.replace(window=(right, left)).band}
        if shift:
            moved = -shift if problem.causal == "bottom-right" else shift
            words = "with the window around the other diagonal (top-left and bottom-right)"
            yield words, {"band": (max(low + moved, everything[0]), min(high + moved, everything[1]))}


def _misread(problem: Problem, inputs: Inputs) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays taken for one another, or read in another order of their axes."""
    right = Formula(problem, inputs).output()
    if problem.k_shape == problem.v_shape:
        swapped = dataclasses.replace(inputs, k=inputs.v, v=inputs.k)
        yield "with k and v taken for each other", Formula(problem, swapped).output()
    if problem.q_shape == problem.k_shape == problem.v_shape:
        for order, words in {"vkq": "q and v", "kqv": "q and k"}.items():
            swapped = dataclasses.replace(inputs, **{"qkv"[n]: getattr(inputs, name) for n, name in enumerate(order)})
            yield f"with {words} taken for each other", Formula(problem, swapped).output()
    merged = np.ascontiguousarray(right.transpose(0, 2, 1, 3)).reshape(right.shape)
    yield "with an output stored (batch, length, heads, dim) and read as (batch, heads, length, dim)", merged
    if problem.q_heads == problem.kv_heads:
        arrays = {n: getattr(inputs, n) for n in "qkv"}
        split = {n: x.reshape(x.shape[0], x.shape[2], x.shape[1], x.shape[3]).swapaxes(1, 2) for n, x in arrays.items()}
        words = "with inputs of (batch, heads, length, dim) read as (batch, length, heads, dim)"
        o = Formula(problem, dataclasses.replace(inputs, **split)).output()
        yield words, o
        yield f"{words}, and the output written so", np.ascontiguousarray(o.swapaxes(1, 2)).reshape(o.shape)
    if problem.batch > 1:
        first = dataclasses.replace(inputs, **{n: x[:1] for n, x in inputs.extras.items() if x.ndim == 4})
        if inputs.extras:
            yield "with the mask or bias of the first batch element for all", Formula(problem, first).output()
