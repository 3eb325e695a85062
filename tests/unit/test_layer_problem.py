"""Problems of the multi-head layer: names, defaults, what contradicts itself."""

import pytest

from harness.errors import UserError
from harness.operators.multi_head.cases.problems import cross, small
from harness.operators.multi_head.operator import MULTI_HEAD
from harness.operators.multi_head.problem import Problem


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (small(), "b2h4q9d8w32-f32"),
        (small(biases=True, mask="padding"), "b2h4q9d8w32-f32-biases-padding"),
        (cross(y_width=20, out_width=12), "b2h4q9k13d8w32y20o12-f32-cross"),
        (small(kv_heads=2, head_dim=6, v_head_dim=5), "b2h4kv2q9d6v5w32-f32"),
        (small(q_len=1, cache=21, causal="bottom-right"), "b2h4q1d8w32-f32-cache21-causal-bottom-right"),
        (small(causal="top-left", softcap=0.5, scale=1.0, dtype="bfloat16"), "b2h4q9d8w32-bf16-causal-softcap0.5-scale1"),
        (small(window=(3, 1), direction="backward"), "b2h4q9d8w32-f32-window3_1-backward"),
    ],
)
def test_names(problem, name):
    assert problem.name == name


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 10, "q_heads": 3}, ["3 heads do not divide the width 10", "head_dim"]),
        ({"width": 0}, ["width must be at least 1"]),
        ({"q_heads": 0}, ["q_heads must be at least 1"]),
        ({"kv_heads": 3}, ["3 key/value heads do not divide 4 query heads"]),
        ({"kv_len": 10}, ["9 positions", "9 keys", "cross = true"]),
        ({"y_width": 5}, ["y is x", "cross = true"]),
        ({"cross": True, "cache": 3}, ["no cache"]),
        ({"cache": 3, "direction": "backward"}, ["for inference"]),
        ({"biases": 1}, ["biases must be one of True, False"]),
        ({"mask": "random-abc"}, ["random-abc"]),
        ({"causal": "middle"}, ["causal must be one of"]),
        ({"dtype": "int8"}, ["dtype must be one of"]),
        ({"out_width": 0}, ["out_width must be at least 1"]),
        ({"q_len": 2.5}, ["q_len must be a whole number"]),
    ],
)
def test_what_cannot_be_is_one_sentence(fields, words):
    with pytest.raises(UserError) as caught:
        Problem(**{"batch": 2, "q_heads": 4, "q_len": 9, "width": 32, **fields})
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_replacing_a_length_keeps_self_attention_consistent():
    assert small().replace(q_len=5).kv_len == 5
    assert small(q_len=1, cache=7).replace(cache=3).kv_len == 4
    assert cross().replace(q_len=5).kv_len == 13
    assert small().replace(head_dim=16).scale == 0.25


def test_a_problem_survives_its_own_fields():
    for problem in (small(window=(3, 1)), cross(y_width=20), small(q_len=1, cache=21)):
        assert Problem(**problem.fields) == problem


@pytest.mark.parametrize(
    "fields",
    [
        {"q_heads": 12, "width": 768, "biases": True},
        {"q_heads": 12, "width": 768, "cross": True, "kv_len": 9, "y_width": 512, "out_width": 100},
        {"q_heads": 32, "kv_heads": 8, "width": 4096, "cache": 2000, "causal": "bottom-right"},
        {"q_heads": 5, "width": 700, "head_dim": 64, "v_head_dim": 32, "mask": "padding"},
    ],
)
def test_a_miniature_has_hardly_any_weights_and_the_same_features(fields):
    """Weights that a miniature loads stay in a framework's pool, where they would hide what a call takes."""
    problem = Problem(q_len=500, **fields)
    small = MULTI_HEAD.small(problem)
    assert small.input_bytes * 20 < problem.input_bytes
    for name in ("cross", "biases", "causal", "mask", "q_heads", "kv_heads"):
        assert getattr(small, name) == getattr(problem, name)
    assert (small.q_heads * small.head_dim == small.width) == (problem.q_heads * problem.head_dim == problem.width)
