"""What a layer, and the library's layer behind it, really does: found by probing with small problems.

Each probe computes what every convention would give, and sees which one came out, as in attention's own conventions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.frameworks import Framework
from harness.operators.attention.problem import CAUSAL
from harness.operators.base import Arrays
from harness.operators.conventions import NOT_DECLARED, Conventions, NotDeclared, which
from harness.operators.multi_head.diagnosis.steps import Steps
from harness.operators.multi_head.inputs import make_inputs
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.supports import Supports

Call = Callable[[Problem, Arrays], np.ndarray]
"""(problem, inputs) -> out. Raises whatever it raises."""

QUESTIONS = (
    "heads",
    "scale",
    "biases",
    "causal Lq<Lk",
    "causal Lq>Lk",
    "True in a mask",
    "mask+causal",
    "no key",
    "grouped heads",
    "cache",
)
"""What is asked, in order."""

CONTRACT = {
    "heads": "h·D+d",
    "scale": "1/sqrt(D)",
    "biases": "all four",
    "True in a mask": "attend",
    "mask+causal": "both",
    "no key": "b^O",
    "grouped heads": "h//group",
    "cache": "before",
}
"""What the contract has; the alignment is the declaration's."""

Bind = Callable[[Problem, Arrays, str], Arrays]
"""(problem, inputs, layout) -> outputs by name, of an implementation."""


def of_implementation(bind: Bind, supports: Supports, layout: str) -> Conventions:
    """The conventions of an implementation, through its adapter, and where they are not what is declared."""

    def call(problem: Problem, inputs: Arrays) -> np.ndarray:
        if supports.unsupported_reasons(problem):
            raise NotDeclared
        return bind(problem, inputs, layout)["out"]

    dtype = _dtype(supports)
    found = _probe(call, dtype)
    wrong = [
        f"{question}: {found[question]}, where the contract has {right}"
        for question, right in CONTRACT.items()
        if found[question] not in (right, NOT_DECLARED)
    ]
    for question, sizes in (("causal Lq<Lk", (3, 5)), ("causal Lq>Lk", (5, 3))):
        answers = {asked: _alignment(call, dtype, asked, *sizes) for asked in CAUSAL}
        wrong += [
            f"{question}: asked for {asked}, does {answer}"
            for asked, answer in answers.items()
            if answer not in (asked, NOT_DECLARED)
        ]
        kept = [asked for asked in CAUSAL if answers[asked] == asked]
        found[question] = "as asked" if len(kept) == len(CAUSAL) else f"{kept[0]} only" if kept else NOT_DECLARED
    return Conventions({q: found[q] for q in QUESTIONS}, tuple(wrong))


def of_library_call(raw: Callable[..., Any], framework: Framework, supports: Supports) -> Conventions:
    """The conventions of the library's layer, its weights carried over and nothing else bridged.

    `raw(problem, weights)` gives a function of x, y or None, mask or None, and whether it is causal.
    """

    def call(problem: Problem, inputs: Arrays) -> np.ndarray:
        given = {name: framework.from_numpy(x) for name, x in inputs.items()}
        layer = raw(problem, {name: given[name] for name in problem.weight_shapes})
        out = layer(given["x"], given.get("y"), given.get("mask"), problem.causal is not None)
        framework.synchronize(out)
        return framework.to_numpy(out)

    found = {**_probe(call, _dtype(supports)), "cache": NOT_DECLARED}
    return Conventions({q: found[q] for q in QUESTIONS})


def _dtype(supports: Supports) -> str:
    return "float32" if "float32" in supports.dtypes else supports.dtypes[0]


def _probe(call: Call, dtype: str) -> dict[str, str]:
    """Every question; a refusal is an answer too."""
    return {
        "heads": _heads(call, dtype),
        "scale": _scale(call, dtype),
        "biases": _biases(call, dtype),
        "causal Lq<Lk": _alignment(call, dtype, "top-left", 3, 5),
        "causal Lq>Lk": _alignment(call, dtype, "top-left", 5, 3),
        "True in a mask": _mask(call, dtype),
        "mask+causal": _mask_and_causal(call, dtype),
        "no key": _no_key(call, dtype),
        "grouped heads": _grouped(call, dtype),
        "cache": _cache(call, dtype),
    }


def _posed(dtype: str, **fields: Any) -> tuple[Problem, dict[str, np.ndarray]]:
    problem = Problem(**{"batch": 2, "q_heads": 3, "q_len": 4, "width": 24, "biases": True, "dtype": dtype, **fields})
    return problem, dict(make_inputs(problem, 5))


def _answer(call: Call, problem: Problem, inputs: Arrays, candidates: Mapping[str, np.ndarray]) -> str:
    """The name of the candidate that comes out."""
    return which(lambda: call(problem, inputs), candidates, problem.dtype)


def _changed(right: Steps, **changes: Any) -> np.ndarray:
    """The output with steps of the attention inside replaced."""
    return right.changed(attend=lambda formula: formula.changed(changes)).output()


def _heads(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype)
    right = Steps(problem, inputs)
    interleaved = right.changed(split="interleaved", merge="interleaved").output()
    return _answer(call, problem, inputs, {"h·D+d": right.output(), "d·H+h": interleaved})


def _scale(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype)
    scales = {
        "1/sqrt(D)": problem.scale,
        "1": 1.0,
        "1/D": 1 / problem.head_dim,
        "1/sqrt(width)": 1 / math.sqrt(problem.width),
    }
    right = Steps(problem, inputs)
    return _answer(call, problem, inputs, {name: _changed(right, scale=scale) for name, scale in scales.items()})


def _biases(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype)
    right = Steps(problem, inputs)
    candidates = {"all four": "", "none": "qkvo", "output only": "qkv", "not of the output": "o"}
    return _answer(call, problem, inputs, {n: right.changed(unbiased=letters).output() for n, letters in candidates.items()})


def _alignment(call: Call, dtype: str, asked: str, q_len: int, kv_len: int) -> str:
    problem, inputs = _posed(dtype, q_len=q_len, kv_len=kv_len, cross=True, causal=asked)
    right = Steps(problem, inputs)
    bands = {"top-left": (-q_len, 0), "bottom-right": (-q_len, kv_len - q_len), "not causal": (-q_len, kv_len)}
    candidates: dict[str, np.ndarray] = {}
    for name, band in bands.items():
        for words, empty in (("", 0.0), (", empty rows nan", math.nan), (", empty rows mean", None)):
            candidates.setdefault(name + words, _changed(right, band=band, empty=empty))
    return _answer(call, problem, inputs, candidates)


def _mask(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype, mask="random-b1qk")
    mask = np.zeros(problem.attention.mask_shape, bool)
    mask[...] = np.tri(4, k=1, dtype=bool)[:, ::-1]  # No row all True or all False, nor the same transposed.
    inputs["mask"] = mask
    meanings = {"attend": "blocks", "blocked": "inverted", "adds 1": "added", "ignored": "ignored"}
    right = Steps(problem, inputs)
    return _answer(call, problem, inputs, {name: _changed(right, mask=meaning) for name, meaning in meanings.items()})


def _mask_and_causal(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype, mask="random-b1qk", causal="top-left")
    inputs["mask"] = np.ones(problem.attention.mask_shape, bool)
    inputs["mask"][..., 2, 1] = inputs["mask"][..., 3, 0] = False
    right = Steps(problem, inputs)
    candidates = {
        "both": right.output(),
        "mask only": _changed(right, band=(-problem.q_len, problem.kv_len)),
        "causal only": _changed(right, mask="ignored"),
    }
    return _answer(call, problem, inputs, candidates)


def _no_key(call: Call, dtype: str) -> str:
    """What a position becomes that may attend to nothing, by a mask in the polarity of the layer."""
    problem, inputs = _posed(dtype, mask="random-b1qk")
    inputs["mask"] = np.ones(problem.attention.mask_shape, bool)
    inputs["mask"][..., 1, :] = False
    right = Steps(problem, inputs)
    meanings = {"b^O": 0.0, "mean": None, "nan": math.nan}
    candidates = {name: _changed(right, empty=empty) for name, empty in meanings.items()}
    candidates["zeros"] = right.changed(empty="zero").output()
    given = {**inputs, "mask": ~inputs["mask"]} if _mask(call, dtype) == "blocked" else inputs
    return _answer(call, problem, given, candidates)


def _grouped(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype, q_heads=4, kv_heads=2)
    right = Steps(problem, inputs)
    return _answer(call, problem, inputs, {"h//group": right.output(), "h%kv_heads": _changed(right, heads="tiled")})


def _cache(call: Call, dtype: str) -> str:
    problem, inputs = _posed(dtype, cache=5, causal="bottom-right")
    right = Steps(problem, inputs)
    return _answer(call, problem, inputs, {where: right.changed(cache=where).output() for where in ("before", "after")})
