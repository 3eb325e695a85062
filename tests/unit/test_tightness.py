"""The bound is what rounding explains, no less and hardly more: right computations drawn at random stay within it, and it
stays near the furthest that the errors of the scores can move a row, found exactly."""

import dataclasses

import numpy as np
import pytest

from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import expected
from harness.operators.attention.reference.backward import backward_rows
from harness.operators.attention.reference.forward import forward_rows
from harness.operators.attention.reference.operands import Operands
from harness.operators.attention.reference.scores import blocks, score_block
from harness.operators.checks import accuracy
from harness.operators.reference.roundoff import Roundoff
from harness.problem import Problem
from tests.unit.drawn import Computation, Way, draw_bias, draw_inputs, draw_problem, one_of

DTYPES = ("float64", "float32", "bfloat16", "float16")
PROBLEMS, WAYS = 40, 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_right_computation_exceeds_the_bound(dtype, direction, seed):
    rng = np.random.default_rng(seed)
    for _ in range(PROBLEMS):
        problem = draw_problem(rng, dtype, direction)
        inputs = draw_inputs(rng, problem)
        answer = expected(problem, inputs)
        for _ in range(WAYS):
            way = Way.draw(rng, problem, inputs)
            found = accuracy(Computation(rng, way, problem, inputs)(), answer)
            assert found.correct, (problem.name, way, found)


def furthest(x, delta, v):
    """The largest distance of Σ p v from its value over all scores within x ± delta.

    A mean grows with the scores of the values above it, so the extremes raise all scores above some value and lower the
    others, or the other way round: as many candidates as there are values. Long doubles hold e^±5000.
    """
    order = np.argsort(v)
    x, delta, v = (a[order].astype(np.longdouble) for a in (x, np.minimum(delta, 5000), v))

    def mean(s):
        e = np.exp(s - s.max())
        return (e * v).sum() / e.sum()

    sides = np.where(np.arange(len(v)) >= np.arange(len(v) + 1)[:, None], 1, -1)
    return max(abs(mean(x + sign * side * delta) - mean(x)) for side in sides for sign in (1, -1))


def draw_row(rng, dtype):
    """One query, or a few, with scores of any size and biases of any size."""
    problem = Problem(
        q_len=3,
        kv_len=int(rng.integers(1, 40)),
        head_dim=one_of(rng, 1, 3, 16, 64),
        v_head_dim=2,
        dtype=dtype,
        scale=one_of(rng, None, 0.1, 1.0, 30.0, 300.0),
        softcap=one_of(rng, None, None, 1.0, 0.01),
        bias=one_of(rng, None, "normal-qk"),
        causal=one_of(rng, None, "bottom-right"),
    )
    inputs = make_inputs(problem, int(rng.integers(2**32)))
    return problem, inputs if inputs.bias is None else dataclasses.replace(inputs, bias=draw_bias(rng, inputs.bias))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bound_of_an_output_is_what_its_scores_errors_and_roundings_come_to(dtype):
    rng, unit = np.random.default_rng(3), Roundoff.of(dtype)
    for _ in range(60):
        problem, inputs = draw_row(rng, dtype)
        rows = np.arange(problem.q_len)
        part, scores = (
            forward_rows(problem, Operands.exact(inputs), rows),
            score_block(problem, Operands.exact(inputs), next(blocks(problem, rows))),
        )
        v = inputs.v[0, 0].astype(np.float64)
        relative = 7 * unit.accumulator + unit.storage + 2 * unit.gamma(problem.kv_len)
        for row in np.flatnonzero(scores.seen[0].any(axis=1)):
            seen = scores.shifted[0, row] > -np.inf
            x, delta = scores.shifted[0, row, seen], scores.delta[0, row, seen]
            p = np.exp(x) / np.exp(x).sum()
            doubt = delta[p > 1e-12].max()
            for column in range(2):
                values = v[seen, column]
                o = p @ values
                moved = float(furthest(x, delta, values))
                rounded = relative * (p @ np.abs(values) + abs(o)) + unit.storage * abs(o)
                bound = part.bound[0, 0, row, column]
                assert bound >= 0.999999 * moved, problem.name
                # Where scores are known to a tenth the analysis is of first order and exact; in between a factor of e.
                slack = 1.2 if doubt < 0.1 else np.e
                assert bound <= slack * (moved * (1 + relative) + rounded) + 1e-12, (problem.name, row, doubt)


def test_bounds_of_gradients_are_what_their_roundings_come_to():
    """In float32, against the first-order analysis with exact derivatives of p_j and ds_j by s_m, each taken absolutely."""
    rng, unit = np.random.default_rng(4), Roundoff.of("float32")
    ratios = {"dq": [], "dk": [], "dv": []}
    for _ in range(80):
        problem = Problem(
            q_len=int(rng.integers(1, 6)),
            kv_len=int(rng.integers(2, 40)),
            head_dim=one_of(rng, 3, 16, 64),
            scale=one_of(rng, None, 1.0),
            bias=one_of(rng, None, "normal-qk"),
            direction="backward",
        )
        inputs = make_inputs(problem, int(rng.integers(2**32)))
        rows, keys = np.arange(problem.q_len), np.arange(problem.kv_len)
        for name, explained in explained_gradients(problem, inputs, unit).items():
            ratios[name].append(backward_rows(problem, Operands.exact(inputs), rows, keys)[name].bound[0, 0] / explained)
    for name, found in ratios.items():
        every = np.concatenate([ratio.ravel() for ratio in found])
        assert every.min() > 0.99, name
        assert np.median(every) < 1.5, name
        assert np.quantile(every, 0.99) < 4, name


def explained_gradients(problem, inputs, unit):
    """The errors of one head, from scores and from the roundings that come after them."""
    q, k, v, do = (x[0, 0].astype(np.float64) for x in (inputs.q, inputs.k, inputs.v, inputs.do))
    scores = score_block(problem, Operands.exact(inputs), next(blocks(problem, np.arange(problem.q_len))))
    p, delta = np.exp(scores.shifted[0]), scores.delta[0]
    p /= p.sum(axis=1, keepdims=True)
    dp = do @ v.T
    row = (p * dp).sum(axis=1, keepdims=True)
    centred = dp - row
    slope_of_p = p[:, :, None] * (np.eye(problem.kv_len) - p[:, None, :])
    slope_of_ds = slope_of_p * centred[:, :, None] - p[:, :, None] * p[:, None, :] * centred[:, None, :]
    u, over_keys, over_queries = unit.storage, unit.gamma(problem.kv_len), unit.gamma(problem.q_len)
    relative, over_values = 8 * u + over_keys, unit.gamma(problem.v_head_dim)
    dp_error = over_values * np.abs(do) @ np.abs(v).T + u * np.abs(dp)
    row_error = (p * dp_error).sum(axis=1) + (relative + over_keys) * (p * np.abs(dp)).sum(axis=1)
    row_error += (u + over_values) * (np.abs(do) * np.abs(p @ v)).sum(axis=1)
    ds, scale = p * centred, abs(problem.scale)
    rest = p * (relative * np.abs(centred) + dp_error + row_error[:, None] + 2 * u * (np.abs(dp) + np.abs(row)))
    rest += 2 * u * np.abs(ds)
    dq = np.einsum("imc,im->ic", np.abs(np.einsum("ijm,jc->imc", slope_of_ds, k)), delta)
    dk = np.einsum("ijm,im,ic->jc", np.abs(slope_of_ds), delta, np.abs(q))
    dv = np.einsum("ijm,im,ic->jc", np.abs(slope_of_p), delta, np.abs(do))
    dq += rest @ np.abs(k) + over_keys * np.abs(ds) @ np.abs(k) + 3 * u * np.abs(ds @ k)
    dk += rest.T @ np.abs(q) + over_queries * np.abs(ds).T @ np.abs(q) + 3 * u * np.abs(ds.T @ q)
    dv += relative * p.T @ np.abs(do) + over_queries * p.T @ np.abs(do) + 3 * u * np.abs(p.T @ do)
    return {"dq": scale * dq, "dk": scale * dk, "dv": dv}
