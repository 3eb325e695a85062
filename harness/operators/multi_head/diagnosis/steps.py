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
    split: str = "heads"
    """"heads", "untransposed" (read as (batch, heads, length, dim)), "interleaved" (column d · heads + h), "batch" (positions of
    all batch elements in one sequence)."""
    merge: str = "heads"
    """"heads", "untransposed", "interleaved", "mean" (of the heads, for each)."""
    crossed: str = "y"
    """Where keys and values come from, in cross-attention: "y", or "x"; "swapped" takes x for y and y for x."""
    cache: str = "before"
    """"before", "after" the new positions, "ignored", "alone"."""
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
        zeros = {f"b{letter}": np.zeros(()) for letter in "qkvo" if f"b{letter}" not in wide or letter in self.unbiased}
        wide |= zeros
        return wide | {name: wide[self.weights.get(name, name)] for name in (*WEIGHTS, *BIASES)}

    def output(self) -> np.ndarray:
        """out, float64."""
        return self._out(self._formula.output())

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients of what was computed, float64, by name."""
        a, problem = self.arrays, self.problem
        dout = a["dout"]
        do = np.einsum("ble,hde->bhld", dout, a["wo"])
        inner = self._formula
        d = self.attend(dataclasses.replace(inner, inputs=dataclasses.replace(inner.inputs, do=do))).gradients()
        o = inner.output()
        found = {"wo": np.einsum("bhld,ble->hde", o, dout), "bo": dout.sum((0, 1))}
        back = {}
        for letter, x in (("q", a["x"]), ("k", a["y"]), ("v", a["y"])):
            found[f"w{letter}"] = np.einsum("ble,bhld->ehd", x, d[f"d{letter}"])
            found[f"b{letter}"] = d[f"d{letter}"].sum((0, 2))
            back[letter] = np.einsum("bhld,ehd->ble", d[f"d{letter}"], a[f"w{letter}"])
        found |= {"x": back["q"], "y": back["k"] + back["v"]} if problem.cross else {"x": sum(back.values())}
        return {name: found[name.removeprefix("d")].reshape(shape) for name, shape in problem.output_shapes.items()}

    @cached_property
    def _formula(self) -> Formula:
        """The attention inside."""
        problem, a = self.problem, self.arrays
        q, k, v = (self._heads(letter, a["x" if letter == "q" else "y"]) for letter in "qkv")
        if problem.cache:
            k, v = (self._with_cache(a[f"{letter}_cache"], new) for letter, new in (("k", k), ("v", v)))
        if self.across == "heads":
            q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
        inner = problem.attention.replace(
            batch=q.shape[0], q_heads=q.shape[1], kv_heads=k.shape[1], q_len=q.shape[2], kv_len=k.shape[2],
            head_dim=q.shape[3], v_head_dim=v.shape[3], scale=problem.scale,
        )  # fmt: skip
        return self.attend(Formula(inner, Inputs(q, k, v, self.given.get("mask"))))

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
        if self.split == "batch":
            return flat.reshape(1, batch * length, heads, dim).transpose(0, 2, 1, 3)
        return flat.reshape(batch, length, heads, dim).transpose(0, 2, 1, 3)

    def _with_cache(self, past: np.ndarray, new: np.ndarray) -> np.ndarray:
        parts = {"before": [past, new], "after": [new, past], "ignored": [new], "alone": [past]}[self.cache]
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
        return out + self.output_biases * self.arrays["bo"]

    def changed(self, **changes: Any) -> Steps:
        """With some steps replaced by mistakes."""
        return dataclasses.replace(self, **changes)
