"""The core cases reach as far as all of them, for whatever part of the contract an implementation does."""

import dataclasses
import itertools
import math

import pytest

from harness.conformance.cases import all_cases, select
from harness.operators.attention.operator import ATTENTION
from harness.registry import EVERYTHING, Implementation

DECLARATIONS = {
    "everything": {},
    "no-softcap-no-v-width": {"softcap": False, "v_head_dim": False},
    "no-gradients": {"gradients": False},
    "no-float64": {"dtypes": ("float32", "bfloat16", "float16")},
    "float32-and-bfloat16": {"dtypes": ("float32", "bfloat16"), "softcap": False, "v_head_dim": False},
}


def features(case):
    problem = case.problem
    present = {
        problem.dtype: True,
        str(problem.causal): problem.causal,
        "window": problem.window,
        "mask": problem.mask,
        "bias": problem.bias,
        "grouped heads": problem.group > 1,
        "softcap": problem.softcap,
        "scale": problem.scale != 1 / math.sqrt(problem.head_dim),
        "v_head_dim": problem.v_head_dim != problem.head_dim,
        "gradients": problem.direction == "backward",
    }
    return sorted(name for name, value in present.items() if value)


def reached(cases):
    """Chapters, features, and pairs of features."""
    together = [itertools.combinations_with_replacement(features(case), 2) for case in cases]
    return {(case.chapter,) for case in cases}.union(*together)


@pytest.mark.parametrize("declared", DECLARATIONS)
def test_core_cases_reach_every_chapter_and_pair_of_features(declared):
    supports = dataclasses.replace(EVERYTHING, **DECLARATIONS[declared])
    slow = Implementation("slow", lambda problem: None, slow_build=True)
    every, core = (
        [case for case in select(slow, full=full) if not supports.unsupported_reasons(case.problem)]
        for full in (True, False)
    )
    missing = sorted(reached(every) - reached(core))
    assert not missing, f"mark a case as core that has {missing}"
    assert len(core) < len(every) / 4


def test_ids_are_unique():
    ids = [case.id for case in all_cases(ATTENTION)]
    assert len(ids) == len(set(ids))
