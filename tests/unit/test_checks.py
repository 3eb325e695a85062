"""The assertions: what they accept, what they find, and whether the finding is a true sentence."""

import dataclasses
import math

import ml_dtypes
import numpy as np
import pytest

from harness.operators import checks
from harness.operators.answer import Tensor
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.operator import ATTENTION
from harness.operators.attention.reference import expected
from harness.problem import Problem

PROBLEM = Problem(batch=2, q_heads=4, kv_heads=2, q_len=6, kv_len=5, head_dim=3, v_head_dim=7, mask="empty-rows-b1qk")


def answer(problem=PROBLEM):
    return expected(problem, make_inputs(problem))


def right(problem=PROBLEM):
    return {name: tensor.value.astype(np.float32) for name, tensor in answer(problem).items()}


def altered(at, value, problem=PROBLEM, name="o"):
    outputs = right(problem)
    outputs[name][at] = value
    return outputs


# --- shape and dtype ---------------------------------------------------------------------------------


def test_the_right_form_is_nothing_to_speak_of():
    assert checks.wrong_form(PROBLEM, right()) is None
    backward = PROBLEM.replace(direction="backward")
    assert checks.wrong_form(backward, right(backward)) is None


@pytest.mark.parametrize("shape", [(2, 6, 4, 7), (2, 4, 6, 3), (4, 6, 7), (2, 4, 6, 7, 1), ()])
def test_a_wrong_shape_is_named_with_the_right_one(shape):
    said = checks.wrong_form(PROBLEM, {"o": np.zeros(shape, np.float32)})
    assert str(shape) in said and "(2, 4, 6, 7)" in said and said.startswith("o ")


@pytest.mark.parametrize("name, shape", [("dq", (2, 4, 6, 3)), ("dk", (2, 2, 5, 3)), ("dv", (2, 2, 5, 7))])
def test_every_gradient_has_the_shape_of_its_input(name, shape):
    problem = PROBLEM.replace(direction="backward")
    said = checks.wrong_form(problem, {**right(problem), name: np.zeros((2, 4, 5, 3), np.float32)})
    assert said.startswith(f"{name} ") and str(shape) in said


@pytest.mark.parametrize("dtype, given", [("float32", np.float64), ("float16", np.float32), ("bfloat16", np.float16)])
def test_a_wrong_dtype_is_named_with_the_right_one(dtype, given):
    said = checks.wrong_form(PROBLEM.replace(dtype=dtype), {"o": np.zeros(PROBLEM.o_shape, given)})
    assert dtype in said and np.dtype(given).name in said
    right_one = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    assert checks.wrong_form(PROBLEM.replace(dtype=dtype), {"o": np.zeros(PROBLEM.o_shape, right_one)}) is None


# --- error and bound ---------------------------------------------------------------------------------


def test_the_right_answer_is_correct():
    found = checks.accuracy(right(), answer())
    assert found.correct and found.elements == 2 * 4 * 6 * 7
    assert 0 < found.max_abs_error < 1e-6


def test_the_worst_element_is_the_one_farthest_beyond_its_own_bound():
    tensor = Tensor(np.zeros((1, 1, 2, 2)), np.array([[[[1.0, 10.0], [0.1, 1.0]]]]), np.array([0, 1]), 2)
    # The largest error, 5, is half of its bound; 0.3 is three times its own.
    found = checks.accuracy({"o": np.array([[[[0.5, 5.0], [-0.3, 0.0]]]])}, {"o": tensor})
    assert (found.max_abs_error, found.worst, found.worst_bound) == (5.0, "o[0, 0, 1, 0]", 0.1)
    assert found.error_over_bound == pytest.approx(3.0) and not found.correct


@pytest.mark.parametrize("factor, correct", [(0.99, True), (1.01, False)])
def test_a_single_element_decides(factor, correct):
    tensor = answer()["o"]
    outputs = {"o": tensor.value.copy()}
    outputs["o"][1, 2, 4, 3] -= factor * tensor.bound[1, 2, 4, 3]
    found = checks.accuracy(outputs, answer())
    assert found.correct is correct and found.worst == "o[1, 2, 4, 3]"
    assert found.error_over_bound == pytest.approx(factor)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 4])
def test_what_is_not_a_number_is_never_correct(value, row):
    found = checks.accuracy(altered((1, 2, row, 3), value), answer())
    assert not found.correct and found.worst == f"o[1, 2, {row}, 3]"
    assert "o[1, 2" in checks.finding(found) and "not a number or infinite" in checks.finding(found)


def test_a_row_with_nothing_to_attend_to_must_be_exactly_zero():
    found = checks.accuracy(altered((0, 1, 3, 2), 1e-30), answer())
    assert not found.correct
    assert "o[0, 1, 3, 2]" in checks.finding(found) and "not zero" in checks.finding(found, ATTENTION.exactly)
    assert checks.accuracy(altered((0, 1, 3, 2), -0.0), answer()).correct


def test_the_finding_is_the_nan_and_not_the_row_that_should_be_zero():
    # Both are infinitely far outside: element (0, 0, 0, 0) has the bound zero, the nan comes later.
    outputs = altered((0, 0, 0, 0), 1.0)
    outputs["o"][1, 3, 5, 6] = math.nan
    said = checks.finding(checks.accuracy(outputs, answer()))
    assert "o[1, 3, 5, 6] is not a number" in said


def test_a_bound_that_is_not_finite_certifies_nothing():
    tensor = answer()["o"]
    boundless = {"o": dataclasses.replace(tensor, bound=np.full_like(tensor.bound, np.inf))}
    assert not checks.accuracy({"o": np.full_like(tensor.value, math.nan)}, boundless).correct


def test_a_ratio_that_cannot_be_taken_hides_no_other():
    tensor = answer()["o"]
    bound = tensor.bound.copy()
    bound[0, 0, 1, 0] = np.inf
    outputs = {"o": tensor.value + 100.0}
    outputs["o"][0, 0, 1, 0] = math.nan
    assert not checks.accuracy(outputs, {"o": dataclasses.replace(tensor, bound=bound)}).correct


@pytest.mark.parametrize("name", ["dq", "dk", "dv"])
def test_every_gradient_is_looked_at(name):
    problem = PROBLEM.replace(direction="backward")
    assert checks.accuracy(right(problem), answer(problem)).correct
    found = checks.accuracy(altered((0, 1, 2, 1), 50.0, problem, name), answer(problem))
    assert not found.correct and found.worst == f"{name}[0, 1, 2, 1]"


def test_only_the_sampled_rows_are_compared_and_named_by_their_place_in_the_output():
    tensor = Tensor(np.zeros((1, 1, 2, 1)), np.ones((1, 1, 2, 1)), np.array([3, 90]), 100)
    output = np.full((1, 1, 100, 1), 7.0)
    output[0, 0, [3, 90]] = [[0.5], [2.0]]
    found = checks.accuracy({"o": output}, {"o": tensor})
    assert (found.worst, found.error_over_bound, found.elements) == ("o[0, 0, 90, 0]", 2.0, 2)


@pytest.mark.parametrize("fields", [{"batch": 0}, {"q_len": 0}, {"kv_len": 0}])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_nothing_to_compare_is_correct(fields, direction):
    problem = PROBLEM.replace(**fields, direction=direction)
    assert checks.accuracy(right(problem), answer(problem)).correct


def test_half_types_are_compared_as_what_they_hold():
    problem = PROBLEM.replace(dtype="bfloat16")
    stored = {"o": answer(problem)["o"].value.astype(ml_dtypes.bfloat16)}
    found = checks.accuracy(stored, answer(problem))
    assert found.correct
    assert found.max_abs_error == np.abs(stored["o"].astype(np.float64) - answer(problem)["o"].value).max()


def test_a_finding_says_how_far_and_how_far_is_allowed():
    tensor = Tensor(np.zeros((1, 1, 1, 1)), np.full((1, 1, 1, 1), 3.1e-5), np.array([0]), 1)
    said = checks.finding(checks.accuracy({"o": np.full((1, 1, 1, 1), 0.41)}, {"o": tensor}))
    assert said == "o[0, 0, 0, 0] is 0.41 from the oracle, bound 3.1e-05"


# --- calls and inputs --------------------------------------------------------------------------------


def test_equal_results_are_the_same():
    assert checks.different(right(), right()) is None
    nan = {"o": np.full((2, 2), math.nan)}
    assert checks.different(nan, {"o": nan["o"].copy()}) is None


def test_one_bit_is_a_difference():
    second = right()
    second["o"][1, 2, 4, 3] = np.nextafter(second["o"][1, 2, 4, 3], np.float32(9))
    said = checks.different(right(), second)
    assert said.startswith("o differs") and "two calls" in said


def test_inputs_left_alone_are_nothing_to_speak_of():
    inputs = make_inputs(PROBLEM)
    now = {name: np.array(getattr(inputs, name)) for name in ("q", "k", "v", "mask")}
    assert checks.changed_input(inputs.arrays, now) is None


def test_inputs_in_another_order_of_storage_are_the_same():
    inputs = make_inputs(PROBLEM)
    assert checks.changed_input(inputs.arrays, {"q": np.asfortranarray(inputs.q)}) is None
    strided = dataclasses.replace(inputs, k=np.asfortranarray(inputs.k))
    assert checks.changed_input(strided.arrays, {"k": inputs.k}) is None


@pytest.mark.parametrize("name", ["q", "k", "v", "mask", "bias", "do"])
def test_a_written_input_is_named(name):
    problem = PROBLEM.replace(direction="backward", bias="normal-qk")
    inputs = make_inputs(problem)
    now = {each: np.array(getattr(inputs, each)) for each in ("q", "k", "v", "mask", "bias", "do")}
    now[name].flat[-1] = not now[name].flat[-1] if name == "mask" else now[name].flat[-1] + 1
    said = checks.changed_input(inputs.arrays, now)
    assert f"input {name} was written to" in said


def test_zero_written_as_minus_zero_counts():
    inputs = dataclasses.replace(make_inputs(PROBLEM), q=np.zeros(PROBLEM.q_shape, np.float32))
    assert checks.changed_input(inputs.arrays, {"q": -inputs.q}) is not None
