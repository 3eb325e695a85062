"""`harness.masks`, as implementations use it: against `Problem.visible`, and against NumPy's broadcasting."""

import numba
import numpy as np
import pytest

from harness import masks
from harness.problem import CAUSAL, Problem

FORMS = ("bhqk", "b1qk", "11qk", "1hqk", "bh1k", "qk", "hq1", "b11k", "k", "1")


def draw_problem(rng):
    """Any lengths up to 9, none included, any band, grouped heads, and a mask of some form."""
    q_len, kv_len = (int(n) for n in rng.integers(0, 10, 2))
    kv_heads, group = (int(n) for n in rng.integers(1, 4, 2))
    return Problem(
        batch=int(rng.integers(1, 4)),
        q_heads=kv_heads * group,
        kv_heads=kv_heads,
        q_len=q_len,
        kv_len=q_len if rng.random() < 0.3 else kv_len,
        head_dim=2,
        causal=(None, *CAUSAL)[rng.integers(3)],
        window=None if rng.random() < 0.5 else tuple(int(n) for n in rng.integers(-1, 8, 2)),
        mask=f"random-{FORMS[rng.integers(len(FORMS))]}",
    )


PROBLEMS = [draw_problem(np.random.default_rng(seed)) for seed in range(2000)]


def draw_mask(problem):
    """A boolean array of the form that the problem has for its mask."""
    return np.random.default_rng(5).random(problem.mask_shape) < 0.7


def by_visible(problem):
    """(Lq, Lk), True where `Problem.visible` has the key."""
    seen = np.zeros((problem.q_len, problem.kv_len), bool)
    for i in range(problem.q_len):
        seen[i, list(problem.visible(i))] = True
    return seen


def test_the_problems_reach_every_answer():
    bands = [masks.band_mask(problem) for problem in PROBLEMS]
    assert sum(band is None for band in bands) > 100
    assert sum(band is not None and band.any() and not band.all() for band in bands) > 100
    assert sum(band is not None and not band.any() for band in bands) > 10
    assert {masks.causal_flag(p, alignment) for p in PROBLEMS for alignment in CAUSAL if p.causal} == {True, False}


def test_band_mask_is_what_each_query_sees():
    for problem in PROBLEMS:
        band, seen = masks.band_mask(problem), by_visible(problem)
        if band is None:
            assert seen.all(), problem.name
        else:
            assert band.dtype == bool and band.shape == seen.shape
            assert (band == seen).all(), problem.name
            assert not seen.size or not seen.all(), f"{problem.name} hides nothing and needs no mask"


def test_band_mask_is_made_by_the_arange_given():
    lengths = []

    def arange(length):
        lengths.append(length)
        return np.arange(length, dtype=np.int8)

    problem = Problem(q_len=3, kv_len=5, head_dim=2, causal="bottom-right")
    assert (masks.band_mask(problem, arange) == by_visible(problem)).all()
    assert sorted(lengths) == [3, 5]


def test_in_band_compiles():
    in_band = numba.njit(masks.in_band)
    for problem in PROBLEMS[:100]:
        seen = by_visible(problem)
        for i, j in np.ndindex(seen.shape):
            assert in_band(i, j, *problem.band) == masks.in_band(i, j, *problem.band) == seen[i, j]


def test_combined_mask_is_band_and_mask():
    for problem in PROBLEMS:
        mask = draw_mask(problem)
        full = masks.score_shape(problem)
        combined = masks.combined_mask(problem, mask)
        assert (np.broadcast_to(combined, full) == np.broadcast_to(by_visible(problem) & mask, full)).all(), problem.name
        alone = masks.combined_mask(problem, None)
        assert alone is None if masks.band_mask(problem) is None else (alone == by_visible(problem)).all()


@pytest.mark.parametrize("alignment", CAUSAL)
def test_causal_flag_is_set_where_it_means_what_the_problem_means(alignment):
    for problem in PROBLEMS:
        flag = masks.causal_flag(problem, alignment)
        same = problem.causal is not None and (by_visible(problem) == by_visible(problem.replace(causal=alignment))).all()
        if flag:
            assert same and problem.window is None, problem.name
        elif problem.window is None and problem.q_len and problem.kv_len:
            assert not same, f"{problem.name}: the flag means the same, and is not set"


def test_causal_flag_names_the_alignments():
    with pytest.raises(ValueError, match="top-left or bottom-right, not 'lower-right'"):
        masks.causal_flag(PROBLEMS[0], "lower-right")


def test_four_axes_are_a_view_with_ones_in_front():
    for problem in PROBLEMS:
        mask = draw_mask(problem)
        whole = masks.four_axes(mask)
        assert whole.shape == masks.four_axes_shape(mask.shape)
        assert whole.ndim == 4 and (np.shares_memory(whole, mask) or not mask.size)
        full = masks.score_shape(problem)
        assert (np.broadcast_to(whole, full) == np.broadcast_to(mask, full)).all()
    assert masks.four_axes(None) is None


def test_grouped_heads_are_consecutive():
    for problem in PROBLEMS:
        mask = draw_mask(problem)
        parts = masks.grouped(problem, mask)
        assert parts.shape == masks.grouped_shape(problem, mask.shape)
        assert np.shares_memory(parts, mask) or not mask.size
        full = masks.score_shape(problem)
        shape = (problem.batch, problem.kv_heads, problem.group, problem.q_len, problem.kv_len)
        assert (np.broadcast_to(parts, shape).reshape(full) == np.broadcast_to(mask, full)).all(), problem.name
    assert masks.grouped(PROBLEMS[0], None) is None


def test_broadcast_element_is_that_of_the_broadcast_array():
    element = numba.njit(masks.broadcast_element)
    for problem in PROBLEMS[:200]:
        mask = masks.four_axes(draw_mask(problem))
        whole = np.broadcast_to(mask, masks.score_shape(problem))
        for index in np.ndindex(whole.shape):
            assert masks.broadcast_element(mask, *index) == whole[index]
        if whole.size:
            assert element(mask, *(size - 1 for size in whole.shape)) == whole[-1, -1, -1, -1]
