"""nan and infinity in each operand, seen and unseen: what the formula gives, and what the oracle leaves open."""

import dataclasses

import numpy as np
import pytest

from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import expected
from harness.operators.checks import accuracy, finding
from harness.problem import Problem
from tests.unit.plain import admitted, attend_inputs

PROBLEM = Problem(q_heads=2, kv_heads=1, q_len=4, kv_len=6, head_dim=3, causal="bottom-right", bias="normal-qk")
AT_FIRST, AT_LAST = (0, 0, 0, 1), (0, 0, 5, 1)
"""In q, k, v or do: of the first query or key, which all see but the future; of the last key, which the last query sees."""


def with_value(problem, name, at, value):
    inputs = make_inputs(problem, 1)
    array = getattr(inputs, name).copy()
    array[at] = value
    return dataclasses.replace(inputs, **{name: array})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name, at, undefined",
    [
        ("q", AT_FIRST, [(0, 0)]),
        ("k", AT_FIRST, [(h, i) for h in (0, 1) for i in range(4)]),
        ("k", AT_LAST, [(0, 3), (1, 3)]),
        ("v", AT_LAST, [(0, 3, 1), (1, 3, 1)]),
        ("bias", (3, 5), [(0, 3), (1, 3)]),
    ],
)
def test_what_a_row_sees_decides(name, at, undefined, value):
    """A score of -inf is no nan: it takes a key's weight. With these arrays an infinite key has nan among its scores."""
    if name == "bias" and value == -np.inf:
        pytest.skip("that blocks a key")
    inputs = with_value(PROBLEM, name, at, value)
    o = expected(PROBLEM, inputs)["o"]
    with np.errstate(invalid="ignore"):
        formula = attend_inputs(PROBLEM, inputs)
    wanted = np.zeros(o.value.shape, bool)
    for place in undefined:
        wanted[(0, *place)] = True
    if name in ("q", "k") and np.isinf(value):
        wanted &= ~np.isfinite(formula)
    np.testing.assert_array_equal(np.isnan(o.value), wanted)
    clean = ~wanted & ~np.broadcast_to(o.excused, wanted.shape)
    np.testing.assert_allclose(o.value[clean], formula[clean], rtol=1e-12)


@pytest.mark.parametrize("name", ["k", "v", "bias"])
def test_what_is_hidden_is_excused_and_must_not_change_a_number(name):
    inputs = with_value(PROBLEM, name, (0, 5) if name == "bias" else AT_LAST, np.nan)
    plain = make_inputs(PROBLEM, 1)
    o, without = expected(PROBLEM, inputs)["o"], expected(PROBLEM, plain)["o"]
    rows = slice(0, 1) if name == "bias" else slice(0, 3)
    np.testing.assert_array_equal(o.value[:, :, rows], without.value[:, :, rows])
    columns = [1] if name == "v" else [0, 1, 2]
    assert np.broadcast_to(o.excused, o.value.shape)[:, :, rows][..., columns].all()
    right = np.where(np.isnan(o.value), np.nan, without.value).astype(np.float32)
    assert accuracy({"o": right}, {"o": o}).correct
    leaking = right.copy()
    leaking[:, :, rows][..., columns] = np.nan
    assert accuracy({"o": leaking}, {"o": o}).correct
    leaking[:, :, rows] += 1
    leaking[np.isnan(leaking)] = 1
    assert not accuracy({"o": leaking}, {"o": o}).correct


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_number_that_hides_nan_is_wrong(value):
    inputs = with_value(PROBLEM, "q", AT_FIRST, np.nan)
    answer = expected(PROBLEM, inputs)
    hiding = np.where(np.isnan(answer["o"].value), value, answer["o"].value).astype(np.float32)
    found = accuracy({"o": hiding}, answer)
    assert not found.correct
    assert "the formula gives nan there" in finding(found)


@pytest.mark.parametrize(
    "name, at, dq, dk, dv",
    [
        # Of dq: the rows of both heads. Of dk, dv: the keys that such a row sees; of dv, the column of do alone.
        ("q", (0, 0, 1, 0), {(0, 1)}, range(4), [(j, c) for j in range(4) for c in range(3)]),
        ("do", (0, 0, 1, 0), {(0, 1)}, range(4), [(j, 0) for j in range(4)]),
        ("v", AT_LAST, {(0, 3), (1, 3)}, range(6), []),
        ("k", AT_LAST, {(0, 3), (1, 3)}, range(6), [(j, c) for j in range(6) for c in range(3)]),
    ],
)
def test_gradients_are_not_finite_where_such_a_row_contributes(name, at, dq, dk, dv):
    problem = PROBLEM.replace(direction="backward")
    answer = expected(problem, with_value(problem, name, at, np.nan))
    wanted = {part: np.zeros(answer[part].value.shape, bool) for part in answer}
    for h, i in dq:
        wanted["dq"][0, h, i] = True
    wanted["dk"][0, 0, list(dk)] = True
    for j, c in dv:
        wanted["dv"][0, 0, j, c] = True
    for part, tensor in answer.items():
        np.testing.assert_array_equal(np.isnan(tensor.value), wanted[part])
        assert np.isfinite(tensor.bound).all()


def test_a_query_that_sees_nothing_is_zero_whatever_it_holds():
    problem = Problem(q_len=4, kv_len=2, head_dim=3, causal="bottom-right")
    assert not admitted(problem)[0, 0, 0].any()
    o = expected(problem, with_value(problem, "q", (0, 0, 0, 0), np.nan))["o"]
    assert not o.value[0, 0, 0].any()
    assert np.isfinite(o.value).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_half_types_judge_the_other_rows_as_ever(dtype, direction):
    problem = PROBLEM.replace(dtype=dtype, direction=direction)
    answer = expected(problem, with_value(problem, "q", AT_FIRST, np.nan))
    for tensor in answer.values():
        finite = np.isfinite(tensor.value)
        assert finite.any() and not finite.all()
        assert (tensor.bound[finite] < 1).all()


def test_a_score_beyond_the_accumulator_is_excused():
    problem = Problem(q_len=2, kv_len=3, head_dim=1, scale=1.0)
    inputs = make_inputs(problem, 1)
    q = np.array([[[[1e20], [1.0]]]], np.float32)
    inputs = dataclasses.replace(inputs, q=q, k=np.abs(inputs.k) * np.float32(1e20))
    o = expected(problem, inputs)["o"]
    assert np.isfinite(o.value).all()
    assert np.broadcast_to(o.excused, o.value.shape)[0, 0, :, 0].tolist() == [True, False]


@pytest.mark.parametrize("sign", [1, -1])
def test_infinity_is_right_only_where_the_dtype_ends(sign):
    problem = Problem(q_len=4, kv_len=2, head_dim=1, dtype="float16", direction="backward")
    inputs = make_inputs(problem, 1)
    inputs = dataclasses.replace(inputs, do=np.full_like(inputs.do, sign * 60000))
    answer = expected(problem, inputs)
    largest = answer["dv"].value
    assert np.abs(largest).max() > 65504
    with np.errstate(over="ignore"):
        outputs = {name: tensor.value.astype(np.float16) for name, tensor in answer.items()}
    assert np.isinf(outputs["dv"]).any()
    assert accuracy(outputs, answer).correct
    outputs["dv"] = -outputs["dv"]
    assert not accuracy(outputs, answer).correct
