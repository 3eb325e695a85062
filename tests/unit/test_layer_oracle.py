"""The oracle of the multi-head layer against its definition, its gradients against differences, its bound from both
sides."""

import numpy as np
import pytest

from harness.operators import checks
from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.multi_head.cases.problems import FEATURES, small
from harness.operators.multi_head.inputs import make_inputs
from harness.operators.multi_head.operator import MULTI_HEAD
from harness.operators.multi_head.reference import expected
from tests.unit.plain_layer import layer

PROBLEMS = {
    "plain": small(q_len=5),
    **{name: small(q_len=5, **fields) for name, fields in FEATURES.items()},
    "everything": small(
        q_len=5, kv_len=7, cross=True, width=6, y_width=5, out_width=7, head_dim=3, v_head_dim=2, kv_heads=2, biases=True,
        causal="bottom-right", window=(4, -1), mask="random-bhqk", softcap=0.7, scale=0.9,
    ),
    "cache": small(q_len=2, cache=5, biases=True, causal="bottom-right"),
    "no-keys": small(q_len=3, kv_len=0, cross=True, biases=True),
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_it_is_the_definition(problem):
    inputs = make_inputs(problem, 3)
    found = expected(problem, inputs)["out"]
    assert np.abs(found.value - layer(problem, inputs)).max(initial=0) < 1e-12
    assert found.complete


@pytest.mark.parametrize("name", ["plain", "biases", "causal", "empty-rows", "grouped", "softcap", "y-width", "everything"])
def test_gradients_are_those_of_the_definition(name):
    """Along a random direction of every array: differences of the definition against the inner product with the gradient."""
    problem = PROBLEMS[name].replace(dtype="float64", direction="backward")
    inputs = make_inputs(problem, 3)
    found = expected(problem, inputs)
    rng, step = np.random.default_rng(5), 1e-6
    for gradient, tensor in found.items():
        direction = rng.standard_normal(tensor.value.shape)
        ends = []
        for sign in (1, -1):
            moved = {**inputs, gradient[1:]: inputs[gradient[1:]] + sign * step * direction}
            ends.append(np.sum(inputs["dout"] * layer(problem, moved)))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope - np.sum(tensor.value * direction)) < 1e-6 * (1 + abs(slope)), gradient


def in_float32(problem, inputs, rng):
    """The layer in float32, its sums in an order drawn at random."""
    a = {name: np.asarray(x, np.float32) for name, x in inputs.items() if name != "mask"}

    def product(x, w):
        order = rng.permutation(x.shape[-1])
        return x[..., order] @ w[order]

    def heads(x, letter, count):
        w = a[f"w{letter}"]
        flat = product(x, w.reshape(len(w), -1))
        flat = flat + a[f"b{letter}"].reshape(-1) if problem.biases else flat
        return flat.reshape(*flat.shape[:2], count, -1).transpose(0, 2, 1, 3)

    q, k, v = heads(a["x"], "q", problem.q_heads), heads(a["x"], "k", problem.kv_heads), heads(a["x"], "v", problem.kv_heads)
    s = np.float32(problem.scale) * (q @ k.swapaxes(-1, -2))
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    o = (p @ v) / p.sum(axis=-1, keepdims=True)
    out = product(o.transpose(0, 2, 1, 3).reshape(*a["x"].shape[:2], -1), a["wo"].reshape(-1, problem.out_width))
    return out + a["bo"] if problem.biases else out


@pytest.mark.parametrize("width", [32, 256])
def test_right_computations_lie_within_the_bound_and_small_faults_do_not(width):
    problem = small(q_len=40, width=width, biases=True)
    inputs = make_inputs(problem, 3)
    answer = expected(problem, inputs)
    rng = np.random.default_rng(0)
    ratios = [checks.accuracy({"out": in_float32(problem, inputs, rng)}, answer).error_over_bound for _ in range(5)]
    assert max(ratios) < 1
    head_dim = width // 4
    wrong = problem.replace(scale=1 / np.sqrt(head_dim + 1))
    assert not checks.accuracy({"out": in_float32(wrong, inputs, rng)}, answer).correct


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("fields", [{}, {"biases": True}, {"direction": "backward", "biases": True}])
def test_half_types_admit_their_own_arithmetic_and_no_more(dtype, fields):
    from harness.operators.multi_head.reference import computed
    from harness.operators.multi_head.reference.stages import Layer
    from harness.operators.reference.arithmetic import Rounded

    problem = small(q_len=20, dtype=dtype, **fields)
    inputs = make_inputs(problem, 3)
    answer = expected(problem, inputs)
    honest = computed.compute(Layer(problem, inputs), np.arange(problem.q_len), Rounded(dtype))
    got = {name: honest[name].value.astype(NUMPY_DTYPES[dtype]) for name in answer}
    assert checks.accuracy(got, answer).correct
    for name, tensor in answer.items():
        worse = tensor.value + 8 * (honest[name].value - tensor.value)
        if np.abs(honest[name].value - tensor.value).max() > 0:
            assert not checks.accuracy({**got, name: worse.astype(NUMPY_DTYPES[dtype])}, answer).correct, name


def test_a_position_with_nothing_to_attend_to_is_exactly_the_bias_of_the_output():
    problem = small(biases=True, mask="empty-rows-b1qk")
    inputs = make_inputs(problem, 3)
    answer = expected(problem, inputs)["out"]
    empty = ~np.broadcast_to(inputs["mask"], (2, 1, 9, 9)).any(axis=-1)[:, 0]
    assert empty.any() and (answer.bound[empty] == 0).all()
    assert (answer.value[empty] == inputs["bo"]).all()


def test_flops_count_the_products():
    problem = small(batch=2, q_len=9, width=32)
    projections = 4 * 2 * 2 * 9 * 32 * 32
    assert problem.flops == projections + problem.attention.flops == projections + 2 * 4 * 9 * 9 * 4 * 8
    assert (
        problem.replace(direction="backward").flops
        == 2 * projections + problem.replace(direction="backward").attention.flops
    )


def test_the_operator_makes_the_arrays_that_the_problem_names():
    for problem in PROBLEMS.values():
        assert {name: x.shape for name, x in MULTI_HEAD.inputs(problem).items()} == dict(problem.input_shapes)
