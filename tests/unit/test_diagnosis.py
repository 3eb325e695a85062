"""A wrong output is told apart by what it equals, or by where it is wrong."""

import numpy as np
import pytest

from harness.conformance.diagnosis import MAX_NAMED, likely_cause
from harness.conformance.properties import admitted_keys
from harness.conformance.variants import Formula, pairs, variants
from harness.inputs import NUMPY_DTYPES, make_inputs
from harness.problem import Problem
from harness.reference import expected
from tests.unit.plain import attend_inputs

PROBLEMS = {
    "plain": {},
    "causal": {"causal": "bottom-right"},
    "window": {"causal": "top-left", "window": (4, 2)},
    "mask": {"mask": "random-bhqk", "q_len": 13, "kv_len": 13},
    "empty-rows": {"mask": "empty-rows-bhqk"},
    "bias": {"bias": "normal-bhqk"},
    "softcap": {"softcap": 0.7, "bias": "normal-1hqk"},
    "grouped": {"q_heads": 4},
    "scale": {"scale": -0.4},
}


def posed(**fields):
    sizes = {"batch": 2, "q_heads": 2, "kv_heads": 2, "q_len": 9, "kv_len": 12, "head_dim": 6, "v_head_dim": 6}
    return Problem(**{**sizes, **fields})


def cause(problem, output, seed=3):
    inputs = make_inputs(problem, seed)
    stored = output.astype(np.float32).astype(NUMPY_DTYPES[problem.dtype])
    return likely_cause(problem, inputs, {"o": stored}, expected(problem, inputs))


@pytest.mark.parametrize("feature", PROBLEMS)
def test_the_formula_of_the_variants_is_the_formula(feature):
    problem = posed(**PROBLEMS[feature])
    inputs = make_inputs(problem, 3)
    np.testing.assert_allclose(Formula(problem, inputs).output(), attend_inputs(problem, inputs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("feature", PROBLEMS)
def test_every_mistake_is_named_by_its_own_words(feature):
    problem = posed(**PROBLEMS[feature])
    inputs = make_inputs(problem, 3)
    right = attend_inputs(problem, inputs)
    told = {}
    for words, output in variants(problem, inputs):
        if np.allclose(output, right, equal_nan=True):
            continue  # A mistake that makes no difference here.
        told[words] = cause(problem, output)
    others = dict(variants(problem, inputs))
    for words, sentence in told.items():
        same = [w for w, o in others.items() if np.allclose(o, others[words], atol=1e-9, equal_nan=True)]
        named = f"It equals the formula {', or '.join(same)}." if len(same) <= MAX_NAMED else ""
        assert named in sentence and bool(named) == ("equals" in sentence), (words, sentence)
    assert len(told) >= 10


def test_two_mistakes_at_once_are_both_named():
    problem = posed(mask="random-bhqk", batch=1)
    words, output = next(
        (w, o) for w, o in pairs(problem, make_inputs(problem, 3)) if "without the scale and" in w and "mask" in w
    )
    assert cause(problem, output).startswith(f"It equals the formula {words}.")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (np.s_[1], "Wrong only in batch element 1 of 2."),
        (np.s_[:, 1], "Wrong only in head 1 of 2."),
        (np.s_[:, :, 5:], "Wrong only in queries 5 to 8 of 9."),
        (np.s_[:, :, ::4], "Wrong only in queries 0 to 8 of 9, every 4th."),
        (np.s_[..., -1:], "Wrong only in column 5 of 6."),
        (np.s_[:, :, 5:7], "Wrong only in queries 5 and 6 of 9."),
        (np.s_[:, :, [0, 2, 3]], "Wrong only in 3 of 9 queries (0, 2, 3)."),
        (np.s_[:, 1, [0, 1, 2, 3, 5, 8]], "Wrong only in head 1 of 2."),
        (np.s_[0, :, 3], "Wrong only in batch element 0 of 2, query 3 of 9."),
    ],
)
def test_a_part_that_is_wrong_is_located(at, words):
    problem = posed()
    output = attend_inputs(problem, make_inputs(problem, 3))
    output[at] += np.arange(1, output[at].size + 1).reshape(output[at].shape)
    assert cause(problem, output) == words


def test_coarser_arithmetic_is_recognised():
    problem = posed()
    output = attend_inputs(problem, make_inputs(problem, 3))
    assert "like arithmetic in float16, bfloat16 or TF32." in cause(problem, output.astype(np.float16).astype(np.float64))
    double = posed(dtype="float64")
    output = attend_inputs(double, make_inputs(double, 3))
    assert "like arithmetic in float32." in cause(double, output)  # Which `cause` rounds to float32.


def test_what_is_half_right_is_not_coarse():
    problem = posed()
    output = attend_inputs(problem, make_inputs(problem, 3))
    output += 1e-4 * np.random.default_rng(0).standard_normal(output.shape)
    output[:, 1] = np.random.default_rng(1).standard_normal(output[:, 1].shape)
    assert cause(problem, output) == ""


def test_what_overflows_is_told():
    problem = posed(scale=90.0)
    assert "subtract the row's maximum" in cause(problem, np.full(problem.o_shape, np.nan))


@pytest.mark.parametrize("feature", ["plain", "mask"])
def test_what_does_not_overflow_is_not_said_to(feature):
    problem = posed(**PROBLEMS[feature])
    assert cause(problem, np.full(problem.o_shape, np.nan)) == ""


def test_rows_that_are_not_a_number_say_nothing_of_the_others():
    problem = posed(**PROBLEMS["empty-rows"], batch=1)
    output = attend_inputs(problem, make_inputs(problem, 3))
    empty = (output == 0).all(axis=-1)
    assert empty.any() and not empty.all()
    others = output + np.random.default_rng(0).standard_normal(output.shape)
    others[empty] = output[empty] = np.nan
    assert "rows that have nothing to attend to as nan, not zero." in cause(problem, output)
    assert "equals" not in cause(problem, others)


def test_mistakes_that_are_the_same_in_a_problem_are_all_named():
    problem = posed(q_len=1, causal="top-left")
    output = Formula(problem, make_inputs(problem, 3), band=(-1, 11)).output()
    assert cause(problem, output) == (
        "It equals the formula with bottom-right causal alignment, or without the causal mask, "
        "or with the causal mask the wrong way round."
    )


def test_zeros_are_told_before_what_they_equal():
    problem = posed()
    output = attend_inputs(problem, make_inputs(problem, 3))
    output[:, :, 4:] = 0
    assert cause(problem, output) == "It is zero where it is wrong, only in queries 4 to 8 of 9."
    assert cause(problem, np.zeros(problem.o_shape)) == "It is zero everywhere."


@pytest.mark.parametrize("fields", [{"mask": "empty-rows-bhqk"}, {"causal": "top-left"}])
def test_rows_that_cannot_be_wrong_are_no_part(fields):
    """A row with nothing to attend to or one key only is right whatever the scores."""
    problem = posed(**fields)
    inputs = make_inputs(problem, 3)
    few = admitted_keys(problem, inputs).sum(axis=-1) < 2
    output = attend_inputs(problem, inputs)
    noise = np.random.default_rng(0).standard_normal(output.shape)
    assert cause(problem, np.where(few[..., None], output, noise)) == ""


def test_nothing_is_claimed_of_an_arbitrary_output():
    problem = posed()
    assert cause(problem, np.random.default_rng(0).standard_normal(problem.o_shape)) == ""


GROUPED = {"q_heads": 4, "direction": "backward", "q_len": 9}


@pytest.mark.parametrize(
    ("name", "factor", "words"),
    [
        ("dq", "scale", "dq is 0.4082 times what it should be (the scale)."),
        ("dk", "group", "dk is 2 times what it should be (the heads of a group)."),
        ("dv", -1.0, "dv is -1 times what it should be (minus one)."),
        ("dv", 0.0, "dv is zero everywhere."),
    ],
)
def test_a_gradient_that_is_a_multiple_is_recognised(name, factor, words):
    problem = posed(**GROUPED)
    inputs = make_inputs(problem, 3)
    answer = expected(problem, inputs)
    factor = {"scale": problem.scale, "group": problem.group}.get(factor, factor)
    outputs = {n: (t.value * (factor if n == name else 1)).astype(np.float32) for n, t in answer.items()}
    said = likely_cause(problem, inputs, outputs, answer)
    assert words in said
    others = [n for n in ("dq", "dk", "dv") if n != name]
    assert said.startswith(f"{others[0]} and {others[1]} are right.")
