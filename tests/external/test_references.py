"""The references of two other projects agree with the oracle in float64, output and gradients.

They are PyTorch's scaled_dot_product_attention with its unfused kernel, and JAX: the formula in jax.numpy, since
jax.nn.dot_product_attention takes its softmax in float32 whatever it is given. The gradients are those of the frameworks'
automatic differentiation; the oracle's are written out by hand.
"""

from harness.operators import checks
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import expected
from harness.problem import Problem
from harness.workers.messages import Failed
from tests.external.subjects import chosen, parameters

REFERENCES = ("torch-sdpa-math", "jax")

# The bound of a float64 problem counts the roundings of the oracle too, which doubles it, and those of a sum with ten
# standard deviations. A reference that takes a quarter of it or more does something else than the oracle in some last step.
FAR_INSIDE = 1 / 4

FEATURES = (
    {},
    {"q_len": 150, "kv_len": 200, "head_dim": 64},
    {"causal": "top-left"},
    {"causal": "bottom-right"},
    {"causal": "bottom-right", "q_len": 20, "kv_len": 12},  # The first eight queries have nothing to attend to.
    {"causal": "bottom-right", "window": (5, 2)},
    {"mask": "random-b1qk"},
    {"mask": "empty-rows-b1qk"},
    {"bias": "normal-bhqk"},
    {"bias": "blocking-1hqk"},
    {"mask": "padding", "bias": "normal-hqk", "causal": "top-left"},
    {"q_heads": 6, "causal": "top-left"},
    {"scale": -0.7},
    {"softcap": 2.0},
    {"v_head_dim": 9},
)
SIZES = {"batch": 2, "q_heads": 2, "kv_heads": 2, "q_len": 14, "kv_len": 17, "head_dim": 12}
PROBLEMS = [Problem(**{**SIZES, **fields, "dtype": "float64"}) for fields in FEATURES]


def problems_of(subject):
    """Both directions of every problem that a reference supports."""
    both = [one.replace(direction=way) for one in PROBLEMS for way in ("forward", "backward")]
    return [one for one in both if not subject.implementation.supports_on(subject.contender.device).unsupported_reasons(one)]


def pytest_generate_tests(metafunc):
    if "problem" in metafunc.fixturenames:
        subjects = chosen(metafunc.config, REFERENCES)
        metafunc.parametrize("examined, problem", parameters(subjects, problems_of, lambda problem: problem.name))


def test_reference_lies_far_inside_the_bound(examined, problem, examiner):
    inputs = make_inputs(problem, 2)
    outputs = examiner.solve(problem, inputs.arrays)
    assert not isinstance(outputs, Failed), f"{outputs.status}: {outputs.reason}"
    assert not checks.wrong_form(problem, outputs)
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.error_over_bound <= FAR_INSIDE, f"{examined.name}, {problem.name}: {checks.finding(found)}"
