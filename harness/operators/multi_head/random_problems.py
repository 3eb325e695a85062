"""Hypothesis strategies: problems of the layer that an implementation declares to support."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

from harness.errors import UserError
from harness.operators.attention.cases.problems import FORMS
from harness.operators.attention.problem import CAUSAL
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.supports import Supports

WIDTHS = (1, 8, 12, 24, 33, 48)
HEAD_DIMS = (None, 1, 5, 8, 16)


def problems(supports: Supports, longest: int, backward: bool) -> st.SearchStrategy[Problem]:
    """Problems of up to `longest` positions, with every feature that is supported switched on now and then."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "batch": st.integers(1, 3),
        "kv_heads": st.integers(1, 3),
        "group": st.integers(1, 3) if supports.grouped_heads else st.just(1),
        "q_len": st.integers(1, longest),
        "others": st.integers(1, longest),
        "kind": st.sampled_from(_kinds(supports, backward)),
        "width": st.sampled_from(WIDTHS),
        "y_width": _optional(WIDTHS, supports.y_width),
        "out_width": _optional(WIDTHS, supports.out_width),
        "head_dim": _optional(HEAD_DIMS, supports.head_dim),
        "v_head_dim": _optional(HEAD_DIMS, supports.v_head_dim),
        "biases": st.booleans() if supports.biases else st.just(False),
        "dtype": st.sampled_from(tuple(supports.dtypes)),
        "causal": st.sampled_from((None, *(c for c in CAUSAL if c in supports.causal))),
        "window": st.none() | st.tuples(st.integers(-1, 9), st.integers(-1, 9)) if supports.window else st.none(),
        "mask": _masks() if supports.mask else st.none(),
        "softcap": _optional((None, 0.5, 20.0), supports.softcap),
        "scale": st.sampled_from((None, 1.0, -0.5)),
        "direction": st.just("backward" if backward else "forward"),
    }
    posed = st.fixed_dictionaries(fields).map(_posed)
    return posed.filter(lambda problem: problem is not None and not supports.unsupported_reasons(problem))  # type: ignore[return-value]


def _kinds(supports: Supports, backward: bool) -> list[str]:
    """Self-attention, and what else is supported."""
    return ["self"] + ["cross"] * supports.cross + ["cache"] * (supports.cache and not backward)


def _optional(values: tuple[Any, ...], supported: bool) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values)) if supported else st.none()


def _masks() -> st.SearchStrategy[str | None]:
    named = st.tuples(st.sampled_from(("random", "empty-rows")), st.sampled_from(FORMS))
    return st.none() | named.filter(lambda pair: pair[0] == "random" or bool(set(pair[1]) & set("bhq"))).map("-".join)


def _posed(fields: dict[str, Any]) -> Problem | None:
    """The problem; None where the sizes drawn do not go together."""
    group, others, kind = fields.pop("group"), fields.pop("others"), fields.pop("kind")
    if kind == "cross":
        fields |= {"cross": True, "kv_len": others}
    else:
        fields |= {"y_width": None, "cache": others if kind == "cache" else 0}
    try:
        return Problem(q_heads=group * fields["kv_heads"], **fields)
    except UserError:
        return None
