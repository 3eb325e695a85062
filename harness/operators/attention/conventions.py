"""What an implementation, and the library call behind it, really does: found by probing with small problems.

Each probe computes what every convention would give, and sees which one came out. A declaration is not consulted, except
to leave out what an implementation says it cannot do; afterwards the findings are compared with the contract.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from harness.frameworks import Framework
from harness.operators.attention.diagnosis.variants import Formula
from harness.operators.attention.inputs import Inputs, make_inputs
from harness.operators.attention.problem import CAUSAL, LAYOUTS, Problem
from harness.operators.attention.supports import Supports
from harness.operators.base import Arrays
from harness.operators.conventions import NOT_DECLARED, UNKNOWN, Conventions, NotDeclared, which

Call = Callable[[Problem, Inputs, bool], np.ndarray]
"""(problem, inputs, whether the scale is passed on) -> o, canonical. Raises whatever it raises."""


QUESTIONS = (
    "layout",
    "scale",
    "causal Lq<Lk",
    "causal Lq>Lk",
    "True in a mask",
    "mask+causal",
    "no key (mask)",
    "no key (-inf)",
    "all keys lowest",
    "nan in hidden k",
    "nan in hidden v",
    "grouped heads",
)
"""What is asked, in order."""

CONTRACT = {
    "scale": "1/sqrt(D)",
    "True in a mask": "attend",
    "mask+causal": "both",
    "no key (mask)": "zeros",
    "no key (-inf)": "zeros",
    "all keys lowest": "mean",
    "grouped heads": "h//group",
}
"""What the contract has; layout and alignment are the declaration's, and hidden nan need not be kept out."""


Bind = Callable[[Problem, Arrays, str], Arrays]
"""(problem, inputs, layout) -> outputs, canonical arrays by name, of an implementation declared to take that layout."""


def of_implementation(bind: Bind, supports: Supports, layout: str) -> Conventions:
    """The conventions of an implementation, through its adapter, and where they are not what is declared."""

    def call(problem: Problem, inputs: Inputs, with_scale: bool) -> np.ndarray:
        if supports.unsupported_reasons(problem):
            raise NotDeclared
        return bind(problem, inputs.arrays, layout)["o"]

    dtype = _dtype(supports)
    found = {**_probe(call, dtype), "layout": _layout(bind, dtype)}
    wrong = [f"layout: {found['layout']}, and {layout} is declared"] if found["layout"] != layout else []
    wrong += [
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


def _dtype(supports: Supports) -> str:
    return "float32" if "float32" in supports.dtypes else supports.dtypes[0]


def _layout(bind: Bind, dtype: str) -> str:
    """The order of axes in which it gives the right answer."""
    for layout in LAYOUTS:

        def call(problem: Problem, inputs: Inputs, with_scale: bool, layout: str = layout) -> np.ndarray:
            return bind(problem, inputs.arrays, layout)["o"]

        if _right(call, dtype):
            return layout
    return UNKNOWN


def of_library_call(raw: Callable[..., Any], framework: Framework, supports: Supports) -> Conventions:
    """The conventions of the library call behind an implementation, with nothing bridged."""
    dtype = _dtype(supports)
    layouts = [layout for layout in LAYOUTS if _right(_in_layout(raw, framework, layout), dtype)]
    layout = layouts[0] if layouts else UNKNOWN
    found = {**_probe(_in_layout(raw, framework, layout), dtype), "layout": layout}
    return Conventions({q: found[q] for q in QUESTIONS})


def _in_layout(raw: Callable, framework: Framework, layout: str) -> Call:
    def transposed(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.swapaxes(1, 2)) if layout == "BSHD" else x

    def call(problem: Problem, inputs: Inputs, with_scale: bool) -> np.ndarray:
        q, k, v = (framework.from_numpy(transposed(x)) for x in (inputs.q, inputs.k, inputs.v))
        extras = {name: framework.from_numpy(x) for name, x in inputs.extras.items()}
        result = raw(
            q,
            k,
            v,
            mask=extras.get("mask"),
            bias=extras.get("bias"),
            causal=problem.causal is not None,
            scale=problem.scale if with_scale else None,
        )
        framework.synchronize(result)
        o = framework.to_numpy(result)
        return o.swapaxes(1, 2) if layout == "BSHD" else o

    return call


def _probe(call: Call, dtype: str) -> dict[str, str]:
    """Every question but the layout; a refusal is an answer too."""
    return {
        "scale": _default_scale(call, dtype),
        "causal Lq<Lk": _alignment(call, dtype, "top-left", 3, 5),
        "causal Lq>Lk": _alignment(call, dtype, "top-left", 5, 3),
        "True in a mask": _mask(call, dtype),
        "mask+causal": _mask_and_causal(call, dtype),
        "no key (mask)": _empty_row(call, dtype, by_mask=True),
        "no key (-inf)": _empty_row(call, dtype, by_mask=False),
        "all keys lowest": _lowest_row(call, dtype),
        "nan in hidden k": _hidden_nan(call, dtype, "k"),
        "nan in hidden v": _hidden_nan(call, dtype, "v"),
        "grouped heads": _grouped(call, dtype),
    }


def _posed(dtype: str, **fields: object) -> Problem:
    return Problem(**{"batch": 2, "q_heads": 3, "q_len": 4, "kv_len": 4, "head_dim": 8, "dtype": dtype, **fields})  # type: ignore[arg-type]


def _answer(call: Call, problem: Problem, inputs: Inputs, candidates: Mapping[str, np.ndarray], scale: bool = True) -> str:
    """The name of the candidate that comes out."""
    return which(lambda: call(problem, inputs, scale), candidates, problem.dtype)


def _right(call: Call, dtype: str) -> bool:
    problem = _posed(dtype)
    inputs = make_inputs(problem, 5)
    return _answer(call, problem, inputs, {"right": Formula(problem, inputs).output()}) == "right"


def _default_scale(call: Call, dtype: str) -> str:
    problem = _posed(dtype)
    inputs = make_inputs(problem, 5)
    scales = {"1/sqrt(D)": 1 / math.sqrt(problem.head_dim), "1": 1.0, "1/D": 1 / problem.head_dim}
    candidates = {name: Formula(problem, inputs, scale=scale).output() for name, scale in scales.items()}
    return _answer(call, problem, inputs, candidates, scale=False)


def _alignment(call: Call, dtype: str, asked: str, q_len: int, kv_len: int) -> str:
    problem = _posed(dtype, q_len=q_len, kv_len=kv_len, causal=asked)
    inputs = make_inputs(problem, 5)
    formula = Formula(problem, inputs)
    shift = kv_len - q_len
    bands = {"top-left": (-q_len, 0), "bottom-right": (-q_len, shift), "not causal": (-q_len, kv_len)}
    candidates: dict[str, np.ndarray] = {}
    for name, band in bands.items():
        for words, empty in (("", 0.0), (", empty rows nan", math.nan), (", empty rows mean", None)):
            candidates.setdefault(name + words, dataclasses.replace(formula, band=band, empty=empty).output())
    return _answer(call, problem, inputs, candidates)


def _mask(call: Call, dtype: str) -> str:
    problem = _posed(dtype, mask="random-bhqk")
    inputs = make_inputs(problem, 5)
    mask = np.zeros((2, 3, 4, 4), bool)
    mask[...] = np.tri(4, k=1, dtype=bool)[:, ::-1]  # No row all True or all False, nor the same transposed.
    inputs = dataclasses.replace(inputs, mask=mask)
    formula = Formula(problem, inputs)
    meanings = {
        "attend": "blocks",
        "blocked": "inverted",
        "adds 1": "added",
        "ignored": "ignored",
    }
    return _answer(call, problem, inputs, {n: dataclasses.replace(formula, mask=m).output() for n, m in meanings.items()})


def _mask_and_causal(call: Call, dtype: str) -> str:
    problem = _posed(dtype, mask="random-bhqk", causal="top-left")
    inputs = make_inputs(problem, 5)
    mask = np.ones((2, 3, 4, 4), bool)
    mask[..., 2, 1] = mask[..., 3, 0] = False
    inputs = dataclasses.replace(inputs, mask=mask)
    formula = Formula(problem, inputs)
    everything = (-problem.q_len, problem.kv_len)
    candidates = {
        "both": formula.output(),
        "mask only": dataclasses.replace(formula, band=everything).output(),
        "causal only": dataclasses.replace(formula, mask="ignored").output(),
    }
    return _answer(call, problem, inputs, candidates)


def _empty_row(call: Call, dtype: str, by_mask: bool) -> str:
    """A row whose every key is blocked, by a boolean mask or by a bias of -inf."""
    problem = _posed(dtype, mask="random-bhqk") if by_mask else _posed(dtype, bias="blocking-bhqk")
    inputs = make_inputs(problem, 5)
    seen = np.ones((2, 3, 4, 4), bool)
    seen[..., 1, :] = False
    if by_mask:
        inputs = dataclasses.replace(inputs, mask=seen)
    else:
        bias = np.where(seen, 0.0, -np.inf).astype(inputs.q.dtype)
        inputs = dataclasses.replace(inputs, bias=bias)
    formula = Formula(problem, inputs)
    meanings = {"zeros": 0.0, "mean": None, "nan": math.nan}
    return _answer(call, problem, inputs, {n: dataclasses.replace(formula, empty=e).output() for n, e in meanings.items()})


def _lowest_row(call: Call, dtype: str) -> str:
    """A row whose every key has the lowest finite number for a bias; another row has it on half of its keys."""
    problem = _posed(dtype, bias="lowest-bhqk")
    inputs = make_inputs(problem, 5)
    bias = np.zeros(problem.bias_shape, inputs.q.dtype)
    bias[..., 1, :] = bias[..., 2, :2] = ml_dtypes.finfo(inputs.q.dtype).min
    inputs = dataclasses.replace(inputs, bias=bias)
    added = Formula(problem, inputs).output()
    candidates = {"mean": added}
    for name, value in (("zeros", 0.0), ("nan", math.nan)):
        candidates[name] = added.copy()
        candidates[name][..., 1, :] = value
    return _answer(call, problem, inputs, candidates)


def _hidden_nan(call: Call, dtype: str, name: str) -> str:
    """A key or value of nan that a mask hides from every query, as the unused end of a cache may hold."""
    problem = _posed(dtype, mask="random-bhqk")
    inputs = make_inputs(problem, 5)
    seen = np.ones(problem.mask_shape, bool)
    seen[..., 3] = False
    right = Formula(problem, dataclasses.replace(inputs, mask=seen)).output()
    spoiled = getattr(inputs, name).copy()
    spoiled[:, :, 3] = np.nan
    inputs = dataclasses.replace(inputs, mask=seen, **{name: spoiled})

    def call_or_leak(problem: Problem, inputs: Inputs, with_scale: bool) -> np.ndarray:
        o = call(problem, inputs, with_scale)
        return o if np.isfinite(o.astype(np.float64)).all() else np.full(o.shape, np.nan)

    return _answer(call_or_leak, problem, inputs, {"kept out": right, "reaches o": np.full(right.shape, np.nan)})


def _grouped(call: Call, dtype: str) -> str:
    problem = _posed(dtype, q_heads=4, kv_heads=2)
    inputs = make_inputs(problem, 5)
    formula = Formula(problem, inputs)
    candidates = {"h//group": formula.output(), "h%kv_heads": dataclasses.replace(formula, heads="tiled").output()}
    return _answer(call, problem, inputs, candidates)
