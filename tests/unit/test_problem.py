"""Problems: what can be posed, what follows from it, and what it is called."""

import itertools

import pytest

from harness.errors import UserError
from harness.operators.attention.inputs import make_inputs
from harness.problem import CAUSAL, Problem
from tests.unit.plain import sees

LENGTHS = [(1, 1), (5, 5), (4, 7), (7, 4), (1, 6), (6, 1), (3, 0), (0, 3), (2, 9), (9, 2)]
WINDOWS = [None, (0, 0), (2, 0), (0, 2), (1, 3), (-1, 1), (1, -1), (-1, -1), (20, 20)]
BANDS = list(itertools.product(LENGTHS, (None, *CAUSAL), WINDOWS))


def seen_pairs(problem):
    sizes = {"q_len": problem.q_len, "kv_len": problem.kv_len, "causal": problem.causal, "window": problem.window}
    return {(i, j) for i in range(problem.q_len) for j in range(problem.kv_len) if sees(i, j, **sizes)}


@pytest.mark.parametrize("lengths, causal, window", BANDS)
def test_band_is_the_written_definition(lengths, causal, window):
    q_len, kv_len = lengths
    problem = Problem(q_heads=6, kv_heads=2, q_len=q_len, kv_len=kv_len, head_dim=3, causal=causal, window=window)
    wanted = seen_pairs(problem)
    low, high = problem.band
    assert {(i, j) for i in range(q_len) for j in range(kv_len) if low <= j - i <= high} == wanted
    assert {(i, j) for i in range(q_len) for j in problem.visible(i)} == wanted
    assert problem.pairs == len(wanted)


@pytest.mark.parametrize("lengths, causal, window", [band for band in BANDS if band[0][0] > 0])
def test_empty_rows_are_foreseen(lengths, causal, window):
    problem = Problem(q_len=lengths[0], kv_len=lengths[1], head_dim=3, causal=causal, window=window)
    rows_with_a_key = {i for i, _ in seen_pairs(problem)}
    assert problem.may_have_empty_rows == (len(rows_with_a_key) < problem.q_len)


@pytest.mark.parametrize("blocking", [{"mask": "random-bhqk"}, {"mask": "padding"}, {"bias": "blocking-qk"}])
def test_masks_and_blocking_biases_may_empty_a_row(blocking):
    assert Problem(q_len=4, head_dim=4, **blocking).may_have_empty_rows
    assert not Problem(q_len=4, head_dim=4, bias="normal-qk").may_have_empty_rows


def test_defaults():
    problem = Problem(q_heads=6, q_len=5, head_dim=16)
    assert (problem.kv_heads, problem.kv_len, problem.v_head_dim) == (6, 5, 16)
    assert problem.scale == 0.25
    assert (problem.batch, problem.dtype, problem.direction) == (1, "float32", "forward")


def test_shapes():
    problem = Problem(batch=2, q_heads=6, kv_heads=3, q_len=5, kv_len=7, head_dim=8, v_head_dim=9)
    assert problem.q_shape == (2, 6, 5, 8)
    assert problem.k_shape == (2, 3, 7, 8)
    assert problem.v_shape == (2, 3, 7, 9)
    assert problem.o_shape == (2, 6, 5, 9)
    assert problem.group == 2
    assert problem.score_elements == 2 * 6 * 5 * 7


@pytest.mark.parametrize("direction, products", [("forward", "d v"), ("backward", "d v v d d")])
def test_flops_count_a_multiplication_and_an_addition_for_every_pair_and_column(direction, products):
    problem = Problem(
        batch=3, q_heads=4, kv_heads=2, q_len=6, kv_len=9, head_dim=5, v_head_dim=7, causal="top-left", direction=direction
    )
    columns = sum({"d": 5, "v": 7}[side] for side in products.split())
    assert problem.flops == 3 * 4 * len(seen_pairs(problem)) * 2 * columns
    assert problem.dense_flops == 3 * 4 * 6 * 9 * 2 * columns


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_bytes_are_those_of_the_arrays(dtype, direction):
    problem = Problem(
        batch=2,
        q_heads=4,
        kv_heads=2,
        q_len=3,
        kv_len=5,
        head_dim=6,
        v_head_dim=7,
        dtype=dtype,
        direction=direction,
        mask="random-b1qk",
        bias="normal-1hqk",
    )
    inputs = make_inputs(problem)
    given = [inputs.q, inputs.k, inputs.v, inputs.mask, inputs.bias]
    o_bytes = 2 * 4 * 3 * 7 * inputs.q.itemsize
    if direction == "forward":
        made = o_bytes
        assert problem.bytes == problem.input_bytes + made
    else:
        given.append(inputs.do)
        made = inputs.q.nbytes + inputs.k.nbytes + inputs.v.nbytes
        # The gradients of the weights need o once more.
        assert problem.bytes == problem.input_bytes + made + o_bytes
    assert problem.input_bytes == sum(array.nbytes for array in given)
    assert problem.output_bytes == made


def posed(**fields):
    return Problem(**{"q_len": 8, "head_dim": 4, **fields})


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"q_len": -1}, ["q_len", "at least 0", "-1"]),
        ({"batch": -2}, ["batch", "at least 0", "-2"]),
        ({"head_dim": 0}, ["head_dim", "at least 1", "0"]),
        ({"q_heads": 0}, ["q_heads", "at least 1"]),
        ({"kv_heads": 0}, ["kv_heads", "at least 1"]),
        ({"q_len": 1.5}, ["q_len", "whole number", "1.5"]),
        ({"q_len": True}, ["q_len", "whole number", "True"]),
        ({"q_len": "8"}, ["q_len", "whole number", "'8'"]),
        ({"q_heads": 6, "kv_heads": 4}, ["4", "6", "divide"]),
        ({"q_heads": 2, "kv_heads": 4}, ["4", "2", "divide"]),
        ({"dtype": "float8"}, ["dtype", "float8", "bfloat16"]),
        ({"causal": "lower"}, ["causal", "lower", "top-left", "bottom-right"]),
        ({"causal": True}, ["causal", "True", "top-left"]),
        ({"direction": "sideways"}, ["direction", "sideways", "backward"]),
        ({"scale": float("nan")}, ["scale", "finite", "nan"]),
        ({"scale": float("inf")}, ["scale", "finite", "inf"]),
        ({"scale": "1"}, ["scale", "number", "'1'"]),
        ({"softcap": 0.0}, ["softcap", "above zero"]),
        ({"softcap": -1.0}, ["softcap", "above zero", "-1"]),
        ({"softcap": float("nan")}, ["softcap", "above zero", "nan"]),
        ({"softcap": True}, ["softcap", "number", "True"]),
        ({"window": (1,)}, ["window", "(left, right)"]),
        ({"window": (-2, 0)}, ["window", "-1", "(-2, 0)"]),
        ({"window": (1.0, 0)}, ["window", "whole numbers"]),
        ({"window": 3}, ["window", "3"]),
        ({"mask": "sparse"}, ["sparse", "padding", "random-FORM"]),
        ({"mask": "random"}, ["random", "FORM"]),
        ({"mask": "padding-b11k"}, ["padding-b11k"]),
        ({"mask": "normal-qk"}, ["normal-qk", "random-FORM"]),
        ({"mask": "empty-rows-k"}, ["empty-rows-k", "b, h or q"]),
        ({"bias": "random-qk"}, ["random-qk", "normal-FORM"]),
        ({"bias": 3}, ["3", "normal-FORM"]),
    ],
)
def test_a_problem_that_cannot_be_posed_says_why(fields, words):
    with pytest.raises(UserError) as caught:
        posed(**fields)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("kind", ["mask", "bias"])
def test_a_form_is_taken_exactly_when_its_axes_fit_from_the_right(kind):
    prefix = {"mask": "random-", "bias": "normal-"}[kind]
    wrongly = []
    for form in ("".join(letters) for n in range(1, 5) for letters in itertools.product("bhqk1", repeat=n)):
        fits = all(letter in (axis, "1") for letter, axis in zip(reversed(form), "kqhb", strict=False))
        try:
            posed(**{kind: prefix + form})
        except UserError:
            taken = False
        else:
            taken = True
        if taken != fits:
            wrongly.append(form)
    assert wrongly == []


@pytest.mark.parametrize("spec, shape", [("bhqk", (2, 6, 5, 7)), ("b1qk", (2, 1, 5, 7)), ("hq1", (6, 5, 1)), ("k", (7,))])
def test_shapes_of_masks_and_biases(spec, shape):
    sizes = {"batch": 2, "q_heads": 6, "kv_heads": 3, "q_len": 5, "kv_len": 7, "head_dim": 4}
    assert Problem(**sizes, mask=f"random-{spec}").mask_shape == shape
    assert Problem(**sizes, bias=f"normal-{spec}").bias_shape == shape


def test_padding_is_one_row_a_batch_element():
    assert Problem(batch=3, q_heads=2, q_len=4, kv_len=9, head_dim=4, mask="padding").mask_shape == (3, 1, 1, 9)


LLAMA = {"q_heads": 32, "kv_heads": 8, "q_len": 2048, "head_dim": 128}


@pytest.mark.parametrize(
    "fields, name",
    [
        ({"q_heads": 8, "q_len": 128, "head_dim": 64}, "b1h8q128k128d64-f32"),
        ({**LLAMA, "dtype": "bfloat16", "causal": "top-left"}, "b1h32kv8q2048k2048d128-bf16-causal"),
        ({**LLAMA, "kv_len": 9, "causal": "top-left"}, "b1h32kv8q2048k9d128-f32-causal-top-left"),
        ({**LLAMA, "kv_len": 9, "causal": "bottom-right"}, "b1h32kv8q2048k9d128-f32-causal-bottom-right"),
        ({"q_len": 3, "head_dim": 4, "v_head_dim": 5, "dtype": "float16"}, "b1h1q3k3d4v5-f16"),
        ({"q_len": 3, "head_dim": 4, "window": (70, -1), "dtype": "float64"}, "b1h1q3k3d4-f64-window70_inf"),
        ({"q_len": 3, "head_dim": 4, "mask": "padding"}, "b1h1q3k3d4-f32-padding"),
        (
            {"q_len": 3, "head_dim": 4, "mask": "random-b1qk", "bias": "normal-1hqk"},
            "b1h1q3k3d4-f32-mask-random-b1qk-bias-normal-1hqk",
        ),
        ({"q_len": 3, "head_dim": 4, "softcap": 30.0}, "b1h1q3k3d4-f32-softcap30"),
        ({"q_len": 3, "head_dim": 4, "scale": 1.0}, "b1h1q3k3d4-f32-scale1"),
        ({"q_len": 3, "head_dim": 4, "scale": 0.5}, "b1h1q3k3d4-f32"),
        ({"q_len": 3, "head_dim": 4, "direction": "backward"}, "b1h1q3k3d4-f32-backward"),
    ],
)
def test_name(fields, name):
    assert Problem(**fields).name == name


SQUARE = {"q_heads": 2, "q_len": 8, "head_dim": 4}


@pytest.mark.parametrize(
    "first, second",
    [
        ({"batch": 2}, {"batch": 3}),
        ({"kv_heads": 1}, {"kv_heads": 2}),
        ({"kv_len": 7}, {"kv_len": 9}),
        ({"v_head_dim": 3}, {}),
        ({"dtype": "float16"}, {"dtype": "bfloat16"}),
        ({"causal": "top-left"}, {}),
        ({"causal": "top-left", "kv_len": 9}, {"causal": "bottom-right", "kv_len": 9}),
        ({"window": (1, 2)}, {"window": (2, 1)}),
        ({"window": (0, -1)}, {"window": (-1, 0)}),
        ({"mask": "random-bhqk"}, {"mask": "random-b1qk"}),
        ({"mask": "random-qk"}, {"mask": "empty-rows-qk"}),
        ({"bias": "normal-qk"}, {"bias": "blocking-qk"}),
        ({"softcap": 0.5}, {"softcap": 5.0}),
        ({"scale": 1.0}, {"scale": -1.0}),
        ({"direction": "backward"}, {}),
        ({"scale": 0.12345671}, {"scale": 0.12345672}),
        ({"softcap": 1234567.0}, {"softcap": 1234568.0}),
    ],
)
def test_different_problems_have_different_names(first, second):
    assert Problem(**{**SQUARE, **first}).name != Problem(**{**SQUARE, **second}).name


def test_causal_alignments_of_a_square_problem_are_one_problem_or_have_two_names():
    # A run's journal and table know a problem by its name: two that share one would overwrite each other.
    top_left, bottom_right = (Problem(**SQUARE, causal=alignment) for alignment in CAUSAL)
    assert top_left == bottom_right or top_left.name != bottom_right.name


def test_replace_keeps_the_scale_that_was_given_and_renews_the_one_that_was_not():
    assert posed(head_dim=16).replace(head_dim=64).scale == 0.125
    assert posed(head_dim=16, scale=0.3).replace(head_dim=64).scale == 0.3
    assert posed(head_dim=16).replace(head_dim=64, scale=2.0).scale == 2.0
    assert posed().replace(dtype="float16") == posed(dtype="float16")


@pytest.mark.parametrize("alignment", CAUSAL)
def test_replace_keeps_the_alignment_of_a_square_problem(alignment):
    decoding = Problem(**{**SQUARE, "q_len": 1, "kv_len": 8}, causal=alignment)
    assert Problem(**SQUARE, causal=alignment).replace(q_len=1) == decoding


def test_a_window_read_from_a_file_equals_one_written_in_python():
    assert posed(window=[1, 2]) == posed(window=(1, 2))
    assert len({posed(window=[1, 2]), posed(window=(1, 2))}) == 1
