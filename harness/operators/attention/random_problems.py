"""Hypothesis strategies: problems that an implementation declares to support."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

from harness.operators.attention.cases.problems import FORMS
from harness.operators.attention.problem import CAUSAL, Problem
from harness.operators.attention.supports import Supports

HEAD_DIMS = (1, 8, 16, 40, 64)


def problems(supports: Supports, longest: int, backward: bool) -> st.SearchStrategy[Problem]:
    """Problems of up to `longest` queries and keys, with every feature that is supported switched on now and then."""
    lengths = st.integers(1, longest)
    fields: dict[str, st.SearchStrategy[Any]] = {
        "batch": st.integers(1, 3),
        "kv_heads": st.integers(1, 3),
        "group": st.integers(1, 3) if supports.grouped_heads else st.just(1),
        "q_len": lengths,
        "kv_len": lengths,
        "head_dim": st.sampled_from(HEAD_DIMS),
        "v_head_dim": st.sampled_from((None, *HEAD_DIMS)) if supports.v_head_dim else st.none(),
        "dtype": st.sampled_from(tuple(supports.dtypes)),
        "causal": st.sampled_from((None, *(c for c in CAUSAL if c in supports.causal))),
        "window": st.none() | st.tuples(st.integers(-1, 9), st.integers(-1, 9)) if supports.window else st.none(),
        "mask": _extra(("random", "empty-rows"), supports.mask),
        "bias": _extra(("normal", "blocking", "lowest"), supports.bias),
        "softcap": st.sampled_from((None, 0.5, 20.0)) if supports.softcap else st.none(),
        "scale": st.sampled_from((None, 1.0, -0.5)),
        "direction": st.just("backward" if backward else "forward"),
    }
    return st.fixed_dictionaries(fields).map(_posed).filter(lambda problem: not supports.unsupported_reasons(problem))


def _extra(kinds: tuple[str, ...], supported: bool) -> st.SearchStrategy[str | None]:
    if not supported:
        return st.none()
    named = st.tuples(st.sampled_from(kinds), st.sampled_from(FORMS))
    return st.none() | named.filter(lambda pair: pair[0] != "empty-rows" or set(pair[1]) & set("bhq")).map("-".join)


def _posed(fields: dict[str, Any]) -> Problem:
    group = fields.pop("group")
    return Problem(q_heads=group * fields["kv_heads"], **fields)
