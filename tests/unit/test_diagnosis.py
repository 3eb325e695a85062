"""A wrong output is told apart by what it equals, or by where it is wrong."""

import dataclasses

import numpy as np
import pytest

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.diagnosis.output import likely_cause
from harness.operators.attention.diagnosis.variants import Formula, pairs, variants
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.properties import admitted_keys
from harness.operators.attention.reference import expected
from harness.operators.attention.variations import vary
from harness.operators.diagnosis.equality import MAX_NAMED
from harness.problem import Problem
from tests.faults import precision, scale, softmax, strides
from tests.faults.attention import Attention
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


def found(problem, output, inputs=None):
    """What is told of an output."""
    inputs = inputs or make_inputs(problem, 3)
    stored = output.astype(np.float32).astype(NUMPY_DTYPES[problem.dtype])
    return likely_cause(problem, inputs, {"o": stored}, expected(problem, inputs))


def cause(problem, output, inputs=None):
    return found(problem, output, inputs).text


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
    for mistake, output in variants(problem, inputs):
        if np.allclose(output, right, equal_nan=True):
            continue  # A mistake that makes no difference here.
        told[mistake.words] = cause(problem, output)
    others = {mistake.words: output for mistake, output in variants(problem, inputs)}
    for words, sentence in told.items():
        same = [w for w, o in others.items() if np.allclose(o, others[words], atol=1e-9, equal_nan=True)]
        named = f"It equals the formula {', or '.join(same)}." if len(same) <= MAX_NAMED else ""
        assert named in sentence and bool(named) == ("equals" in sentence), (words, sentence)
    assert len(told) >= 10


def test_two_mistakes_at_once_are_both_named():
    problem = posed(mask="random-bhqk", batch=1)
    words, output = next(
        (m.words, o)
        for m, o in pairs(problem, make_inputs(problem, 3))
        if "without the scale and" in m.words and "mask" in m.words
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
    said = likely_cause(problem, inputs, outputs, answer).text
    assert words in said
    others = [n for n in ("dq", "dk", "dv") if n != name]
    assert said.startswith(f"{others[0]} and {others[1]} are right.")


# --- kinds: what failures of one fault have in common ------------------------------------------------


def told(attention, problem, inputs):
    """What is told of an attention of tests/faults."""
    made = attention(problem)
    with np.errstate(all="ignore"):
        o, saved = made.forward(inputs.q, inputs.k, inputs.v, **inputs.extras)
        if problem.direction == "forward":
            outputs = {"o": o}
        else:
            outputs = dict(zip(("dq", "dk", "dv"), made.backward(saved, inputs.do), strict=True))
    return likely_cause(problem, inputs, outputs, expected(problem, inputs))


def told_of(attention, variation="normal", **fields):
    problem = posed(**fields)
    return told(attention, problem, vary(problem, variation, 3))


def test_numbers_are_told_and_are_no_part_of_the_kind():
    causes = [told_of(precision.ScoresInHalf, variation) for variation in ("normal", "biased-keys")]
    assert causes[0].text != causes[1].text
    assert causes[0].kinds == causes[1].kinds == ("small errors everywhere, like arithmetic in float16, bfloat16 or TF32",)
    tiles = []
    for end in (16, 32):
        problem = posed(kv_len=end + 5)
        tiles.append(found(problem, Formula(problem, make_inputs(problem, 3), last_key=end).output()))
    assert tiles[0].text != tiles[1].text
    assert "the formula without the last keys, which do not fill a tile" in set(tiles[0].kinds) & set(tiles[1].kinds)


def test_a_place_counts_as_each_of_its_axes_the_closest_first():
    problem = posed()
    output = attend_inputs(problem, make_inputs(problem, 3))
    output[:, 1, 3:5] += np.random.default_rng(0).standard_normal(output[:, 1, 3:5].shape)
    assert found(problem, output).kinds == (
        "wrong only in some heads and queries",
        "wrong only in some heads",
        "wrong only in some queries",
    )


def test_two_mistakes_at_once_count_as_either():
    problem = posed(mask="random-bhqk", batch=1)
    output = Formula(problem, make_inputs(problem, 3), scale=1.0, mask="ignored").output()
    kinds = found(problem, output).kinds
    assert kinds[0] == "the formula without the scale and with the boolean mask ignored"
    assert set(kinds[1:]) == {"the formula without the scale", "the formula with the boolean mask ignored"}


def test_several_mistakes_that_are_the_same_here_are_kinds_each():
    cause = told_of(scale.ScaleAppliedTwice)
    assert "with the scale 1/head_dim, or with the scale squared" in cause.text
    assert {"the formula with the scale 1/head_dim", "the formula with the scale squared"} <= set(cause.kinds)


def test_gradients_of_a_wrong_forward_pass_are_of_its_kind():
    fields = {"direction": "backward", "causal": "bottom-right", "softcap": 3.0, "bias": "normal-qk", "q_heads": 4}
    problem = posed(**fields)
    for changes, words in (
        ({}, None),
        ({"softcap": None}, "with the softcap ignored"),
        ({"causal": "top-left"}, "with top-left causal alignment"),
        ({"causal": None}, "without the causal mask"),
        ({"scale": 1.0}, "without the scale"),
    ):
        inputs = make_inputs(problem, 3)
        wrong = expected(problem.replace(**changes), inputs)
        outputs = {name: tensor.value.astype(np.float32) for name, tensor in wrong.items()}
        cause = likely_cause(problem, inputs, outputs, expected(problem, inputs))
        assert (f"the formula {words}" in cause.kinds) == (words is not None), changes
        assert words is None or f"They equal the gradients of the formula {words}." in cause.text


def test_small_errors_beyond_the_mark_may_be_of_coarser_arithmetic():
    cause = told_of(precision.ScoresInHalf, "large-logits", q_len=30, kv_len=40)
    coarse = "small errors everywhere, like arithmetic in float16, bfloat16 or TF32"
    assert coarse not in cause.kinds and coarse in cause.may_be


def test_values_in_a_row_without_keys_are_a_kind():
    problem = posed(**PROBLEMS["empty-rows"])
    output = attend_inputs(problem, make_inputs(problem, 3))
    empty = (output == 0).all(axis=-1)
    output[empty] = np.random.default_rng(0).standard_normal(output[empty].shape)
    assert found(problem, output).kinds == ("not zero where nothing is attended to",)


# --- numbers that do not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attention, variation, fields, words",
    [
        (softmax.NoMaximumSubtracted, "large-logits", {}, ["The scores run from -", "is inf in float32", "row's maximum"]),
        (softmax.NoMaximumSubtracted, "low-logits", {}, ["zero everywhere", "The scores run from -", "is 0 in float32"]),
        (softmax.NoMaximumSubtracted, "large-logits", {"mask": "random-bhqk"}, ["is inf in float32"]),
        (softmax.MaximumStartsAtZero, "low-logits", {}, ["zero everywhere", "is 0 in float32", "starts at -inf"]),
        (softmax.MaximumOfTheWholeMatrix, "large-logits", {}, ["is 0 in float32: subtract the maximum of each row"]),
        (softmax.MaximumOverMaskedKeys, "large-logits", {"mask": "random-b1qk"}, ["over the keys that it may attend to"]),
        (
            scale.ScaleAfterTheProduct,
            "overflowing-products",
            {"head_dim": 128, "v_head_dim": 128},
            ["q·k reaches 1.02e+39 before the scale", "the largest float32 is 3.4e+38", "scale q before q·k"],
        ),
        (
            precision.ProductsOverflowInHalf,
            "overflowing-products",
            {"head_dim": 128, "v_head_dim": 128, "dtype": "float16"},
            ["q·k reaches 1.97e+05 before the scale", "the largest float16 is 6.55e+04"],
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_size(attention, variation, fields, words):
    text = told_of(attention, variation, **fields).text
    assert [word for word in words if word not in text] == [], text


def test_overflow_and_underflow_of_one_fault_are_one_kind():
    high, low = (told_of(softmax.NoMaximumSubtracted, variation) for variation in ("large-logits", "low-logits"))
    assert "exp of scores without the row's maximum subtracted" in set(high.kinds) & set(low.kinds)


def test_rows_that_overflow_do_not_explain_others():
    problem = posed()
    inputs = vary(problem, "large-logits", 3)
    cause = found(problem, np.full(problem.o_shape, np.nan), inputs)
    assert "exp(" not in cause.text  # Some rows have only low scores.
    assert "exp of scores without the row's maximum subtracted" in cause.may_be


class Zero(Attention):
    """Zero, whatever its scores."""

    def stored(self, x):
        return 0 * super().stored(x)


def test_zeros_of_ordinary_scores_are_not_explained_by_their_size():
    cause = told_of(Zero)
    assert cause.text == "It is zero everywhere." and cause.kinds == ("zero everywhere", "zero where it is wrong")


# --- rows decided by one key -------------------------------------------------------------------------


class LargestWeightsHalved(Attention):
    """A weight above 0.99 is halved."""

    def softmax(self, s):
        p = super().softmax(s)
        return np.where(p > 0.99, p / 2, p)


def with_some_saturated_rows(problem):
    inputs = make_inputs(problem, 3)
    q = inputs.q.copy()
    q[:, :, 1::3] *= 40
    return dataclasses.replace(inputs, q=q)


def test_rows_with_their_weight_on_one_key_are_told():
    problem = posed(head_dim=16, v_head_dim=16)
    cause = told(LargestWeightsHalved, problem, with_some_saturated_rows(problem))
    assert cause.text.startswith("The wrong rows are those with nearly all their weight on one key.")
    assert cause.kinds == ("wrong only in rows with nearly all their weight on one key",)


def test_where_every_row_is_like_that_it_proves_nothing():
    cause = told_of(LargestWeightsHalved, "saturated-rows", head_dim=64, v_head_dim=64)
    assert "nearly all their weight on one key" in cause.kinds[0] and "outside its bound" in cause.kinds


# --- storage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attention, variation, fields, words",
    [
        (strides.StridesIgnored, "strided", {}, "with q, k and v read as if contiguous"),
        (strides.StridesIgnored, "transposed", {}, "with q, k and v read as if contiguous"),
        (strides.RowsTakenForPacked, "strided", {}, "with q, k and v read as if their rows were packed"),
        (strides.LastAxisTakenForContiguous, "transposed", {}, "with q, k and v read as if their last axis were contiguous"),
        (strides.MaskStridesIgnored, "strided-extras", {"mask": "random-bhqk"}, "with mask read as if contiguous"),
        (strides.BiasStridesIgnored, "strided-extras", {"bias": "normal-1hqk"}, "with bias read as if contiguous"),
        (strides.OutputGradientStridesIgnored, "strided", {"direction": "backward"}, "with do read as if contiguous"),
    ],
)
def test_strides_that_are_not_read_are_told(attention, variation, fields, words):
    cause = told_of(attention, variation, **fields)
    assert words in cause.text
    assert f"the formula {words}" in cause.kinds


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_one_array_whose_strides_are_not_read_is_told(name):
    problem = posed()
    inputs = make_inputs(problem, 3)
    x = getattr(inputs, name)
    stored = np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    cause = told(strides.StridesIgnored, problem, dataclasses.replace(inputs, **{name: stored}))
    assert f"with {name} read as if contiguous" in cause.text


def expanded(x):
    return np.broadcast_to(x[:, :1], x.shape)


def turned_around(x):
    return np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1]


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:].view()
    memory[:] = np.ascontiguousarray(x).view(np.uint8).ravel()
    return np.frombuffer(memory.data, x.dtype).reshape(x.shape)


class ReadsFromTheLowestAddress(Attention):
    """Takes keys for stored in the order of their addresses."""

    def keys(self, k):
        return super().keys(k[:, :, ::-1] if k.strides[2] < 0 else k)


class GarbageUnlessAsUsual(Attention):
    """Reads beyond the keys unless they are contiguous and aligned, and finds what happens to lie there."""

    def keys(self, k):
        usual = k.flags.c_contiguous and k.flags.aligned
        return super().keys(k if usual else np.random.default_rng(0).standard_normal(k.shape).astype(k.dtype))


@pytest.mark.parametrize(
    "stored, attention, words",
    [
        (expanded, GarbageUnlessAsUsual, "k is expanded (a stride of 0)"),
        (turned_around, ReadsFromTheLowestAddress, "k is reversed (a negative stride)"),
        (turned_around, GarbageUnlessAsUsual, "k is reversed (a negative stride)"),
        (misaligned, GarbageUnlessAsUsual, "k is not aligned to its elements"),
    ],
)
def test_storage_that_the_contract_does_not_mention_is_pointed_at(stored, attention, words):
    problem = posed(causal="bottom-right")  # With a stride of zero the order of the keys must count.
    inputs = make_inputs(problem, 3)
    inputs = dataclasses.replace(inputs, k=stored(inputs.k))
    cause = told(attention, problem, inputs)
    assert f"Note how the inputs are stored: {words}." in cause.text
    assert any(kind.startswith("wrong with arrays that are") for kind in cause.kinds)


def test_usual_storage_is_not_pointed_at():
    problem = posed()
    assert "stored" not in cause(problem, np.random.default_rng(0).standard_normal(problem.o_shape))
