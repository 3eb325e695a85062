"""The formula with one thing wrong, in float64: what an output may turn out to equal.

Each variant is a well-known mistake and the words for it. None of this decides a verdict; it explains one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.operators.attention.diagnosis.misreadings import misreadings
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.diagnosis.mistake import Mistake

MAX_ELEMENTS_FOR_PAIRS = 2**10
"""Score elements beyond which two mistakes at once, of which there are hundreds, are not tried."""

NOT_DIFFERENTIATED = {"axis", "normalised", "empty"}
"""Steps whose mistakes have no gradients among the variants."""

NO_KEY_IS_NAN = Mistake.of("with rows that have nothing to attend to as nan, not zero")


class Scores(NamedTuple):
    """Float64, `(batch, q_heads, q_len, kv_len)`."""

    s: np.ndarray
    seen: np.ndarray
    """Boolean: the keys that each query may attend to."""
    slope: np.ndarray
    """The derivative of the score by the scaled product of q and k, broadcastable."""


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
    qk: np.ndarray | None = None
    """q·k before anything else, where it is known already: most mistakes come after it."""

    def output(self) -> np.ndarray:
        """o, float64."""
        scores, kept = self.scores(), slice(self.first_key, self.last_key)
        v = self._spread()[2][:, :, kept]
        mean = v.mean(axis=2, keepdims=True) if v.shape[2] else 0.0
        rows = ~scores.seen.any(axis=-1, keepdims=True)
        return np.where(rows, mean if self.empty is None else self.empty, self.weights(scores)[..., kept] @ v)

    def weights(self, scores: Scores) -> np.ndarray:
        """p, float64; zero for the keys that are not seen."""
        return _softmax(np.where(scores.seen, scores.s, -np.inf), self.axis, self.normalised, self.one_more)

    def gradients(self) -> dict[str, np.ndarray]:
        """dq, dk and dv, float64, of a softmax over the keys."""
        problem, inputs = self.problem, self.inputs
        assert inputs.do is not None
        q, k, v = self._spread()
        scores, do = self.scores(), inputs.do.astype(np.float64)
        p, dp = self.weights(scores), do @ v.swapaxes(-1, -2)
        ds = self._scale * scores.slope * p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        dk, dv = np.zeros(problem.k_shape), np.zeros(problem.v_shape)
        for head, kv_head in enumerate(self._kv_heads()):
            dk[:, kv_head] += ds[:, head].swapaxes(-1, -2) @ q[:, head]
            dv[:, kv_head] += p[:, head].swapaxes(-1, -2) @ do[:, head]
        return {"dq": ds @ k, "dk": dk, "dv": dv}

    def scores(self) -> Scores:
        """The scores before the softmax."""
        inputs = self.inputs
        s = self._scale * self.products()
        slope = np.ones(())
        if self.softcap == "before":
            s, slope = self._capped(s)
        s = self._biased(s)
        if self.softcap == "after":
            s, slope = self._capped(s)
        kept = np.zeros(self.problem.kv_len, bool)
        kept[self.first_key : self.last_key] = True
        seen = self._seen() & kept & (s != -np.inf)  # A score that is not a number hides nothing: it spreads over its row.
        if inputs.mask is not None and self.mask == "added":
            s = s + inputs.mask
        if inputs.mask is not None and self.mask == "zeroes":
            s, slope = s * inputs.mask, slope * inputs.mask
        return Scores(s, seen, slope)

    def products(self) -> np.ndarray:
        """q·k before anything else, `(batch, q_heads, q_len, kv_len)`."""
        if self.qk is not None:
            return self.qk
        q, k, _ = self._spread()
        return q @ k.swapaxes(-1, -2)

    def changed(self, changes: Mapping[str, Any]) -> Formula:
        """With some steps replaced by mistakes."""
        return dataclasses.replace(self, **{"qk": None if "heads" in changes else self.products(), **changes})

    @property
    def _scale(self) -> float:
        return self.problem.scale if self.scale is None else self.scale

    def _kv_heads(self) -> np.ndarray:
        """The key/value head of each query head."""
        heads = np.arange(self.problem.q_heads)
        return {"repeated": heads // self.problem.group, "tiled": heads % self.problem.kv_heads, "first": 0 * heads}[
            self.heads
        ]

    def _spread(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q, k and v in float64, with keys and values for every query head."""
        q, k, v = (x.astype(np.float64) for x in (self.inputs.q, self.inputs.k, self.inputs.v))
        return q, k[:, self._kv_heads()], v[:, self._kv_heads()]

    def _capped(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(capped scores, their derivative)."""
        cap = self.problem.softcap
        if cap is None:
            return s, np.ones(())
        t = np.tanh(s / cap)
        return cap * t, 1 - t * t

    def _biased(self, s: np.ndarray) -> np.ndarray:
        if self.inputs.bias is None or self.bias == "ignored":
            return s
        bias = self.inputs.bias.astype(np.float64)
        return s + {"added": 1.0, "subtracted": -1.0, "scaled": abs(self._scale)}[self.bias] * bias

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


def variants(problem: Problem, inputs: Inputs) -> Iterator[tuple[Mistake, np.ndarray]]:
    """(what is wrong, o) for every mistake that can be made in this problem; "without the scale", say."""
    right = Formula(problem, inputs).changed({})
    for mistake, changes in replaced_steps(problem, inputs):
        yield mistake, right.changed(changes).output()
    for mistake, misread in misreadings(inputs):
        yield mistake, Formula(problem, misread).output()
    yield from _misread(problem, inputs)


def pairs(problem: Problem, inputs: Inputs) -> Iterator[tuple[Mistake, np.ndarray]]:
    """The same for two mistakes at once, where the problem is small enough to try them all."""
    if problem.score_elements > MAX_ELEMENTS_FOR_PAIRS:
        return
    right = Formula(problem, inputs).changed({})
    for (first, one), (second, other) in itertools.combinations(replaced_steps(problem, inputs), 2):
        if not one.keys() & other.keys():
            yield first.and_also(second), right.changed({**one, **other}).output()


def gradient_variants(problem: Problem, inputs: Inputs) -> Iterator[tuple[Mistake, dict[str, np.ndarray]]]:
    """The same for dq, dk and dv: the gradients of a wrong forward pass."""
    right = Formula(problem, inputs).changed({})
    for mistake, changes in replaced_steps(problem, inputs):
        if not changes.keys() & NOT_DIFFERENTIATED:
            yield mistake, right.changed(changes).gradients()
    for mistake, misread in misreadings(inputs):
        yield mistake, Formula(problem, misread).gradients()


def replaced_steps(problem: Problem, inputs: Inputs) -> Iterator[tuple[Mistake, dict]]:
    """(what is wrong, the fields of `Formula` that it replaces) for the mistakes within the formula."""
    d, root = problem.head_dim, math.sqrt(problem.head_dim)
    yield Mistake.of("with its default scale 1/sqrt(head_dim), not the one given"), {"scale": 1 / root}
    yield Mistake.of("without the scale"), {"scale": 1.0}
    yield Mistake.of("with scores multiplied by sqrt(head_dim), not divided"), {"scale": root}
    yield Mistake.of("with the scale 1/head_dim"), {"scale": 1 / d}
    yield Mistake.of("with the scale squared"), {"scale": problem.scale**2}
    yield Mistake.of("with the scale 1/sqrt(q_heads * head_dim)"), {"scale": 1 / math.sqrt(d * problem.q_heads)}
    if problem.v_head_dim != d:
        yield Mistake.of("with the scale 1/sqrt(v_head_dim)"), {"scale": 1 / math.sqrt(problem.v_head_dim)}
    yield Mistake.of("with the scale 1/sqrt(head_dim + 1)"), {"scale": 1 / math.sqrt(d + 1)}
    for padded in (16, 32, 64, 128, 256):
        if padded > d:
            words = f"with the scale 1/sqrt({padded}), of a padded head size"
            yield Mistake(words, ("with the scale of a padded head size",)), {"scale": 1 / math.sqrt(padded)}
            break
    yield Mistake.of("with the sign of the scale lost"), {"scale": -problem.scale}
    if inputs.bias is None and problem.softcap is None:
        yield Mistake.of("with 2 to the power of the scores, not e"), {"scale": problem.scale * math.log(2)}
    yield from _bands(problem)
    if inputs.mask is not None:
        yield Mistake.of("with the boolean mask ignored"), {"mask": "ignored"}
        yield Mistake.of("with the boolean mask inverted (True = may attend)"), {"mask": "inverted"}
        yield Mistake.of("with the boolean mask added to the scores as 0 and 1"), {"mask": "added"}
        yield Mistake.of("with masked scores set to zero, which still get weight"), {"mask": "zeroes"}
        if problem.q_len == problem.kv_len:
            yield Mistake.of("with the mask transposed (queries and keys swapped)"), {"mask": "transposed"}
    if inputs.bias is not None:
        yield Mistake.of("with the bias ignored"), {"bias": "ignored"}
        yield Mistake.of("with the bias subtracted"), {"bias": "subtracted"}
        yield Mistake.of("with the bias added before the scale"), {"bias": "scaled"}
    if problem.softcap is not None:
        yield Mistake.of("with the softcap ignored"), {"softcap": "ignored"}
        yield Mistake.of("with the softcap after bias and mask"), {"softcap": "after"}
    if problem.group > 1:
        yield Mistake.of("with key/value heads tiled (h % kv_heads); query head h reads h // group"), {"heads": "tiled"}
    if problem.kv_heads > 1:
        yield Mistake.of("with key/value head 0 for every query head"), {"heads": "first"}
    yield Mistake.of("with softmax over the queries; the weights of a query sum to one over its keys"), {"axis": -2}
    yield Mistake.of("with softmax over the heads; the weights of a query sum to one over its keys"), {"axis": 1}
    yield Mistake.of("with weights that are not divided by their sum"), {"normalised": False}
    yield Mistake.of("with 1 added to the sum of the weights"), {"one_more": True}
    yield Mistake.of("with rows that have nothing to attend to as the mean of all values, not zero"), {"empty": None}
    yield NO_KEY_IS_NAN, {"empty": math.nan}
    tiles: dict[int, list[str]] = {}
    for tile in (8, 16, 32, 64, 128, 256):
        rest = problem.kv_len % tile
        if rest and problem.kv_len > tile:
            tiles.setdefault(problem.kv_len - rest, []).append(str(tile))
    for end, unfilled in tiles.items():
        words = f"without the keys from {end} on, which do not fill a tile of {'/'.join(unfilled)}"
        yield Mistake(words, ("without the last keys, which do not fill a tile",)), {"last_key": end}
    if problem.kv_len > 1:
        yield Mistake.of("without the last key"), {"last_key": -1}
        yield Mistake.of("without the first key"), {"first_key": 1}


def _bands(problem: Problem) -> Iterator[tuple[Mistake, dict]]:
    low, high = problem.band
    everything = (-problem.q_len, problem.kv_len)
    shift = problem.kv_len - problem.q_len
    if problem.causal and shift:
        other = "top-left" if problem.causal == "bottom-right" else "bottom-right"
        yield Mistake.of(f"with {other} causal alignment"), {"band": problem.replace(causal=other).band}
    if problem.causal:
        yield Mistake.of("without the causal mask"), {"band": problem.replace(causal=None).band}
        yield Mistake.of("with a strict causal mask, which hides the diagonal"), {"band": (low, high - 1)}
        yield Mistake.of("with a causal mask that lets each query see one key of the future"), {"band": (low, high + 1)}
        yield Mistake.of("with the causal mask the wrong way round"), {"band": (-high, everything[1])}
    if problem.causal and problem.window:
        neither = Mistake.of("without the causal mask").and_also(Mistake.of("without the window"))
        yield neither, {"band": everything}
    if problem.window:
        left, right = problem.window
        yield Mistake.of("without the window"), {"band": problem.replace(window=None).band}
        if left >= 0:
            yield Mistake.of("with a window one key too wide on the left"), {"band": (low - 1, high)}
            yield Mistake.of("with a window one key too narrow on the left"), {"band": (low + 1, high)}
        if right >= 0:
            yield Mistake.of("with a window one key too wide on the right"), {"band": (low, high + 1)}
            yield Mistake.of("with a window one key too narrow on the right"), {"band": (low, high - 1)}
        yield Mistake.of("with left and right of the window swapped"), {"band": problem.replace(window=(right, left)).band}
        if shift:
            moved = -shift if problem.causal == "bottom-right" else shift
            words = "with the window around the other diagonal (top-left and bottom-right)"
            yield Mistake.of(words), {"band": (max(low + moved, everything[0]), min(high + moved, everything[1]))}


def _misread(problem: Problem, inputs: Inputs) -> Iterator[tuple[Mistake, np.ndarray]]:
    """Arrays taken for one another, or read in another order of their axes."""
    right = Formula(problem, inputs).output()
    if problem.k_shape == problem.v_shape:
        swapped = dataclasses.replace(inputs, k=inputs.v, v=inputs.k)
        yield Mistake.of("with k and v taken for each other"), Formula(problem, swapped).output()
    if problem.q_shape == problem.k_shape == problem.v_shape:
        for order, words in {"vkq": "q and v", "kqv": "q and k"}.items():
            swapped = dataclasses.replace(inputs, **{"qkv"[n]: getattr(inputs, name) for n, name in enumerate(order)})
            yield Mistake.of(f"with {words} taken for each other"), Formula(problem, swapped).output()
    merged = np.ascontiguousarray(right.transpose(0, 2, 1, 3)).reshape(right.shape)
    yield Mistake.of("with an output stored (batch, length, heads, dim) and read as (batch, heads, length, dim)"), merged
    if problem.q_heads == problem.kv_heads:
        arrays = {n: getattr(inputs, n) for n in "qkv"}
        split = {n: x.reshape(x.shape[0], x.shape[2], x.shape[1], x.shape[3]).swapaxes(1, 2) for n, x in arrays.items()}
        words = "with inputs of (batch, heads, length, dim) read as (batch, length, heads, dim)"
        o = Formula(problem, dataclasses.replace(inputs, **split)).output()
        yield Mistake.of(words), o
        yield Mistake.of(f"{words}, and the output written so"), np.ascontiguousarray(o.swapaxes(1, 2)).reshape(o.shape)
    if problem.batch > 1:
        first = dataclasses.replace(inputs, **{n: x[:1] for n, x in inputs.extras.items() if x.ndim == 4})
        if inputs.extras:
            yield Mistake.of("with the mask or bias of the first batch element for all"), Formula(problem, first).output()
