"""The layer in float64, step by step, so that a mistake can take the place of each: what an output may turn out to equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from harness.operators.attention.diagnosis.variants import Formula
from harness.operators.attention.inputs import Inputs
from harness.operators.base import Arrays
from harness.operators.multi_head.problem import BIASES, WEIGHTS, Problem
from harness.operators.multi_head.reference.stages import matrix

Attend = Callable[[Formula], Formula]
"""What a mistake makes of the attention inside."""


@dataclass(frozen=True)
class Steps:
    """The defaults are the contract. Arrays are those of the problem; heads are axis 1 of q, k, v and o."""

    problem: Problem
    given: Arrays
    weights: Mapping[str, str] = field(default_factory=dict)
    """Which weight or bias stands for another, such as {"wk": "wv"}."""
    unprojected: str = ""
    """Letters of the projections that are left out, of "qkvo"."""
    unbiased: str = ""
    """Letters of the projections whose bias is left out."""
    output_biases: float = 1.0
    """How often b^O is added."""
    transposed: str = ""
    """Letters of the projections whose matrix, a square one, is read transposed."""
    output_heads: str = "own"
    """The rows of W^O that a head's output is multiplied by: its "own", or those of the "first" head."""
    residual: bool = False
    """Whether x is added to the output."""
    empty: str = "bias"
    """What a position has that no head lets attend to anything: the "bias" of the output, or "zero"."""
    split: str = "heads"
    """"heads", "untransposed" (read as (batch, heads, length, dim)), "interleaved" (column d · heads + h), "batch"
    (positions of all batch elements in one sequence), "floor" (columns beyond width // heads are zero), "narrow" (half of
    the columns, read as if they were all)."""
    merge: str = "heads"
    """"heads", "untransposed", "interleaved", "mean" (of the heads, for each)."""
    crossed: str = "y"
    """Where keys and values come from, in cross-attention: "y", or "x"; "swapped" takes x for y and y for x, "keys" takes
    the keys alone from x, "resized" has as many positions of y as x has, over and over."""
    masked: str = "batch"
    """What the first axis of a mask is: the "batch", the "heads", or batch · heads "repeated" in the wrong order."""
    cache: str = "before"
    """"before", "after" the new positions, "ignored", "alone", "repeated" (its last position in place of the new ones)."""
    across: str = "positions"
    """What attention goes over: "positions", or the "heads" of one position."""
    attend: Attend = lambda formula: formula

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Float64, one taken for another where `weights` says so."""
        wide = {name: a.astype(np.float64) for name, a in self.given.items() if name != "mask"}
        wide["y"] = wide.get("y", wide["x"])
        if self.crossed == "swapped":
            wide["x"], wide["y"] = wide["y"], wide["x"]
        if self.crossed == "x":
            wide["y"] = wide["x"]
        if self.crossed == "resized":
            wide["y"] = wide["y"][:, np.arange(self.problem.kv_len) % max(1, min(self.problem.q_len, self.problem.kv_len))]
        zeros = {f"b{letter}": np.zeros(()) for letter in "qkvo" if f"b{letter}" not in wide or letter in self.unbiased}
        wide |= zeros
        for letter in self.transposed:
            weight = wide[f"w{letter}"]
            wide[f"w{letter}"] = matrix(f"w{letter}", weight).T.reshape(weight.shape)
        if self.output_heads == "first":
            wide["wo"] = np.broadcast_to(wide["wo"][:1], wide["wo"].shape)
        return wide | {name: wide[self.weights.get(name, name)] for name in (*WEIGHTS, *BIASES)}

    def output(self) -> np.ndarray:
        """out, float64."""
        return self._out(self.formula.output())

    def gradients(self, inner: Arrays | None = None, paths: str = "qkv") -> dict[str, np.ndarray]:
        """The gradients of what was computed, float64, by name; `inner` those of attention, if not its own, and `paths` the
        projections through which the gradients of x and y come."""
        a, problem, dout = self.arrays, self.problem, self.arrays["dout"]
        d = self.formula.gradients() if inner is None else inner
        found = {"wo": np.einsum("bhld,ble->hde", self.formula.output(), dout), "bo": dout.sum((0, 1))}
        back = {}
        for letter, x in (("q", a["x"]), ("k", a["y"]), ("v", a["y"])):
            found[f"w{letter}"] = np.einsum("ble,bhld->ehd", x, d[f"d{letter}"])
            found[f"b{letter}"] = d[f"d{letter}"].sum((0, 2))
            back[letter] = np.einsum("bhld,ehd->ble", d[f"d{letter}"], a[f"w{letter}"]) * (letter in paths)
        found |= {"x": back["q"], "y": back["k"] + back["v"]} if problem.cross else {"x": sum(back.values())}
        return {name: found[name.removeprefix("d")].reshape(shape) for name, shape in problem.output_shapes.items()}

    @cached_property
    def formula(self) -> Formula:
        """The attention inside."""
        problem, a = self.problem, self.arrays
        of_x = "qk" if self.crossed == "keys" else "q"
        q, k, v = (self._heads(letter, a["x" if letter in of_x else "y"]) for letter in "qkv")
        if problem.cache:
            k, v = (self._with_cache(a[f"{letter}_cache"], new) for letter, new in (("k", k), ("v", v)))
        if self.across == "heads":
            q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
        inner = problem.attention.replace(
            batch=q.shape[0], q_heads=q.shape[1], kv_heads=k.shape[1], q_len=q.shape[2], kv_len=k.shape[2],
            head_dim=q.shape[3], v_head_dim=v.shape[3], scale=problem.scale,
        )  # fmt: skip
        do = np.einsum("ble,hde->bhld", a["dout"], a["wo"]) if "dout" in a else None
        return self.attend(Formula(inner, Inputs(q, k, v, self._mask(), do=do)))

    def _mask(self) -> np.ndarray | None:
        mask, heads = self.given.get("mask"), self.problem.q_heads
        if mask is None or self.masked == "batch":
            return mask
        of_batch = mask[:, 0]
        if self.masked == "heads":
            return np.resize(of_batch, (heads, *of_batch.shape[1:]))
        return np.tile(of_batch, (heads, 1, 1)).reshape(len(mask), heads, *of_batch.shape[1:])

    def _heads(self, letter: str, x: np.ndarray) -> np.ndarray:
        """A projection of x, its heads apart."""
        weight = self.arrays[f"w{letter}"]
        heads, dim = weight.shape[1:]
        flat = x if letter in self.unprojected else np.tensordot(x, weight.reshape(len(weight), -1), axes=1)
        flat = flat + self.arrays[f"b{letter}"].reshape(-1)
        batch, length, _ = flat.shape
        if self.split == "untransposed":
            return flat.reshape(batch, heads, length, dim)
        if self.split == "interleaved":
            return flat.reshape(batch, length, dim, heads).transpose(0, 3, 1, 2)
        if self.split == "narrow":
            kept = flat[:, :, : heads * dim // 2].reshape(batch, -1)
            flat = np.pad(kept, ((0, 0), (0, length * heads * dim - kept.shape[1]))).reshape(flat.shape)
        if self.split == "floor":
            depth = self.problem.width // self.problem.q_heads
            flat = (flat.reshape(batch, length, heads, dim) * (np.arange(dim) < depth)).reshape(flat.shape)
        if self.split == "batch":
            return flat.reshape(1, batch * length, heads, dim).transpose(0, 2, 1, 3)
        return flat.reshape(batch, length, heads, dim).transpose(0, 2, 1, 3)

    def _with_cache(self, past: np.ndarray, new: np.ndarray) -> np.ndarray:
        parts = {"before": [past, new], "after": [new, past], "ignored": [new], "alone": [past]}.get(self.cache)
        if parts is None:
            parts = [past, np.broadcast_to(past[:, :, -1:], new.shape)]
        return np.concatenate(parts, axis=2)

    def _out(self, o: np.ndarray) -> np.ndarray:
        problem, weight = self.problem, self.arrays["wo"]
        if self.across == "heads":
            o = o.transpose(0, 2, 1, 3)
        heads, dim = weight.shape[:2]
        rows = (problem.batch, problem.q_len, heads * dim)
        if self.merge == "mean":
            o = np.broadcast_to(o.mean(axis=1, keepdims=True), o.shape)
        if self.merge == "untransposed":
            flat = o.reshape(rows)
        elif self.merge == "interleaved":
            flat = o.transpose(0, 2, 3, 1).reshape(rows)
        else:
            flat = o.transpose(0, 2, 1, 3).reshape(rows)
        out = flat if "o" in self.unprojected else flat @ weight.reshape(-1, weight.shape[2])
        out = out + self.output_biases * self.arrays["bo"]
        if self.empty == "zero":
            some = np.any(self.formula.scores().seen, axis=(1, 3), keepdims=True)
            out = np.where(some[:, 0], out, 0.0)
        return out + self.arrays["x"] if self.residual else out

    def changed(self, **changes: Any) -> Steps:
        """With some steps replaced by mistakes."""
        return dataclasses.replace(self, **changes)
