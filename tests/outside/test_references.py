"""The references of two other projects agree with the oracle: PyTorch's unfused attention and JAX, in float64."""

import pytest

from harness.conformance import checks
from harness.inputs import make_inputs
from harness.measure.messages import Failed
from harness.problem import Problem
from harness.reference import expected

FAR_INSIDE = 0.25
"""Of the bound. In float64 it is doubled for the oracle's own rounding, and its sums count with ten standard deviations."""

PROBLEMS = {
    "plain": {},
    "long": {"q_len": 150, "kv_len": 200, "head_dim": 64},
    "top-left": {"causal": "top-left"},
    "bottom-right": {"causal": "bottom-right"},
    "empty-rows": {"causal": "bottom-right", "q_len": 20, "kv_len": 12},
    "window": {"causal": "bottom-right", "window": (5, 2)},
    "mask": {"mask": "random-b1qk"},
    "masked-rows": {"mask": "empty-rows-b1qk"},
    "bias": {"bias": "blocking-1hqk"},
    "grouped": {"q_heads": 6, "causal": "top-left"},
    "scale": {"scale": -0.7},
    "value-width": {"v_head_dim": 9},
}


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("feature", PROBLEMS)
@pytest.mark.parametrize("implementation", ["torch-sdpa-math", "jax"])
@pytest.mark.xdist_group("references")
def test_it_agrees_far_inside_the_bound(implementation, feature, direction, subject_of):
    sizes = {"batch": 2, "q_heads": 2, "kv_heads": 2, "q_len": 14, "kv_len": 17, "head_dim": 12}
    problem = Problem(**{**sizes, **PROBLEMS[feature], "dtype": "float64", "direction": direction})
    inputs = make_inputs(problem, 2)
    subject, checker = subject_of(implementation)
    with subject.surroundings():
        outputs = checker.solve(problem, inputs)
    assert not isinstance(outputs, Failed), outputs
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.error_over_bound <= FAR_INSIDE, found
