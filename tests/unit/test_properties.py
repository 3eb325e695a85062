"""A property holds for the formula, and catches what it is for, without asking what the right answer is."""

import dataclasses

import numpy as np
import pytest

from harness.conformance.properties import NAMES, applies, holds
from harness.conformance.variants import Formula
from harness.inputs import make_inputs
from harness.problem import Problem
from tests.unit.plain import attend_inputs

PROBLEM = Problem(batch=2, q_heads=4, kv_heads=2, q_len=9, kv_len=12, head_dim=8)
CAUSAL = PROBLEM.replace(causal="bottom-right")
MASKED = PROBLEM.replace(mask="empty-rows-bhqk", bias="normal-1hqk")


def formula(problem, inputs):
    return {"o": attend_inputs(problem, inputs).astype(np.float32)}


def with_fault(**changes):
    return lambda problem, inputs: {"o": Formula(problem, inputs, **changes).output().astype(np.float32)}


def mixing(axis):
    """An output into which a little of the neighbour along an axis has leaked."""

    def solve(problem, inputs):
        o = attend_inputs(problem, inputs)
        return {"o": (0.99 * o + 0.01 * np.roll(o, 1, axis)).astype(np.float32)}

    return solve


def by_position(problem, inputs):
    """Weights that depend on where a key stands."""
    shifted = dataclasses.replace(inputs, k=inputs.k + np.arange(problem.kv_len, dtype=np.float32)[:, None])
    return formula(problem, shifted)


def in_halves(problem, inputs):
    """Scores without their bits: what a large common part of all scores leaves of them."""
    cut = {name: getattr(inputs, name).astype(np.float16).astype(np.float32) for name in "qk"}
    shifted = dataclasses.replace(inputs, q=cut["q"], k=(cut["k"] + 1000).astype(np.float16).astype(np.float32))
    return formula(problem, shifted)


@pytest.mark.parametrize("problem", [PROBLEM, CAUSAL, MASKED, PROBLEM.replace(dtype="bfloat16")], ids=lambda p: p.name)
@pytest.mark.parametrize("name", NAMES)
def test_the_formula_has_it(name, problem):
    if not applies(name, problem):
        assert name == "permuted-keys" and problem.banded
        return
    inputs = make_inputs(problem, 3)

    def solve(problem, inputs):
        return {"o": attend_inputs(problem, inputs).astype(inputs.q.dtype)}

    for seed in range(5):
        assert holds(name, problem, inputs, solve, seed) is None


@pytest.mark.parametrize(
    ("name", "problem", "faulty"),
    [
        ("permuted-keys", PROBLEM, by_position),
        ("permuted-keys", PROBLEM, with_fault(last_key=-1)),
        ("affine-values", PROBLEM, with_fault(one_more=True)),
        ("affine-values", PROBLEM, with_fault(normalised=False)),
        ("shifted-keys", PROBLEM, in_halves),
        ("shifted-keys", PROBLEM, with_fault(one_more=True)),
        ("convex-hull", PROBLEM, with_fault(normalised=False)),
        ("convex-hull", CAUSAL, with_fault(band=(-9, 12))),
        ("independent-batches", PROBLEM, mixing(0)),
        ("independent-heads", PROBLEM, mixing(1)),
        ("independent-heads", PROBLEM, with_fault(heads="tiled")),
        ("unseen-keys", CAUSAL, with_fault(band=(-9, 4))),
        ("unseen-keys", MASKED, with_fault(mask="ignored")),
    ],
)
def test_a_fault_that_breaks_it_is_found(name, problem, faulty):
    inputs = make_inputs(problem, 3)
    findings = [holds(name, problem, inputs, faulty, seed) for seed in range(5)]
    assert any(finding and "o[" in finding for finding in findings)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("permuted-keys", CAUSAL),
        ("shifted-keys", PROBLEM.replace(softcap=2.0)),
        ("independent-batches", PROBLEM.replace(batch=1)),
        ("independent-heads", PROBLEM.replace(kv_heads=1)),
        ("convex-hull", PROBLEM.replace(kv_len=0)),
        ("unseen-keys", PROBLEM.replace(direction="backward")),
    ],
)
def test_a_property_is_not_asked_where_it_says_nothing(name, problem):
    assert not applies(name, problem)
