"""A property holds for the formula, and catches what it is for, without asking what the right answer is."""

import dataclasses

import numpy as np
import pytest

from harness.operators.attention.diagnosis.variants import Formula
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.properties import BACKWARD, NAMES, admitted_keys, applies, holds
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
@pytest.mark.parametrize("name", [name for name in NAMES if name not in BACKWARD])
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


def value_gradient(weights):
    """dv of a problem whose weights `weights` makes of exp(s - m)."""

    def solve(problem, inputs):
        scores = problem.scale * inputs.q @ np.repeat(inputs.k, problem.group, axis=1).swapaxes(-1, -2)
        scores = scores if inputs.bias is None else scores + inputs.bias
        seen = admitted_keys(problem, inputs)
        scores = np.where(seen, scores, -np.inf)
        m = scores.max(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = weights(np.exp(scores - np.where(np.isfinite(m), m, 0)), m)
        dv = p.swapaxes(-1, -2) @ inputs.do
        grouped = dv.reshape(problem.batch, problem.kv_heads, problem.group, *dv.shape[2:]).sum(axis=2)
        return {"dv": grouped.astype(inputs.q.dtype)}

    return solve


def normalised(e, m):
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def by_one_log_sum(e, m):
    """The logarithm of the sum is lost beside a large maximum, when both are one float32."""
    lse = (m + np.log(e.sum(axis=-1, keepdims=True))).astype(np.float32)
    return np.where(e > 0, e * np.exp(m - lse), 0)


@pytest.mark.parametrize("low", [0.0, -1e9, np.finfo(np.float32).min])
@pytest.mark.parametrize("problem", [PROBLEM, CAUSAL, MASKED], ids=lambda p: p.name)
def test_value_gradients_sum_to_those_of_the_output_whatever_the_scores(problem, low):
    problem = problem.replace(bias="normal-1hqk", direction="backward")
    inputs = make_inputs(problem, 3)
    inputs = dataclasses.replace(inputs, bias=(0 * inputs.bias + low).astype(np.float32))
    assert applies("value-gradient-sums", problem)
    assert holds("value-gradient-sums", problem, inputs, value_gradient(normalised), 0) is None
    found = holds("value-gradient-sums", problem, inputs, value_gradient(by_one_log_sum), 0)
    assert (found is None) == (low == 0)
    found = holds("value-gradient-sums", problem, inputs, value_gradient(lambda e, m: 1.01 * normalised(e, m)), 0)
    assert found and "do not sum to one" in found


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("permuted-keys", CAUSAL),
        ("shifted-keys", PROBLEM.replace(softcap=2.0)),
        ("independent-batches", PROBLEM.replace(batch=1)),
        ("independent-heads", PROBLEM.replace(kv_heads=1)),
        ("convex-hull", PROBLEM.replace(kv_len=0)),
        ("unseen-keys", PROBLEM.replace(direction="backward")),
        ("value-gradient-sums", PROBLEM),
    ],
)
def test_a_property_is_not_asked_where_it_says_nothing(name, problem):
    assert not applies(name, problem)
