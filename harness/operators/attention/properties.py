"""Properties of the formula that need no oracle: two runs of the implementation are compared with each other.

A property takes a problem and its arrays, moves the arrays onto a grid on which what it does to them is exact, and says
what the second output must be, given the first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference import expected
from harness.operators.reference.roundoff import EXP_ULPS, Roundoff
from harness.operators.twin import Twin, disagreement

Solve = Callable[[Problem, Inputs], Mapping[str, np.ndarray]]

GRID = 1 / 8
"""Entries become multiples of this; up to 8 they need 7 bits, which bfloat16 still holds after a sum of two."""


def holds(name: str, problem: Problem, inputs: Inputs, solve: Solve, seed: int) -> str | None:
    """A sentence on how the property fails, or None."""
    if name in WHOLE:
        return WHOLE[name](problem, inputs, solve)
    twin = PROPERTIES[name](problem, inputs, np.random.default_rng(seed))
    return disagreement(twin, "o", lambda arrays: solve(problem, arrays)["o"], lambda arrays: expected(problem, arrays)["o"])


def applies(name: str, problem: Problem) -> bool:
    """Whether the property can be asked of the problem at all."""
    direction = "backward" if name in BACKWARD else "forward"
    if problem.direction != direction or 0 in problem.o_shape or problem.kv_len == 0:
        return False
    return {
        "permuted-keys": not problem.banded and problem.kv_len > 1,
        "shifted-keys": problem.softcap is None,
        "independent-batches": problem.batch > 1,
        "independent-heads": problem.kv_heads > 1,
    }.get(name, True)


def _on_grid(x: np.ndarray) -> np.ndarray:
    return (np.clip(np.round(x.astype(np.float64) / GRID), -32, 32) * GRID).astype(x.dtype)


def _permuted_keys(problem: Problem, inputs: Inputs, rng: np.random.Generator) -> Twin[Inputs]:
    """Keys and values (and the columns of mask and bias) may be reordered together."""
    order = rng.permutation(problem.kv_len)
    extras = {name: x[..., order] if x.shape[-1] > 1 else x for name, x in inputs.extras.items()}
    second = dataclasses.replace(inputs, k=inputs.k[:, :, order], v=inputs.v[:, :, order], **extras)
    return Twin(inputs, second, lambda o: o, 1, True, "reordering keys and values together changes the output")


def _affine_values(problem: Problem, inputs: Inputs, rng: np.random.Generator) -> Twin[Inputs]:
    """softmax(…)(a v + b) = a softmax(…) v + b, since the weights of a row sum to one."""
    first = dataclasses.replace(inputs, v=_on_grid(inputs.v))
    shift = rng.integers(-3, 4, problem.v_head_dim)
    second = dataclasses.replace(first, v=(2 * first.v.astype(np.float64) + shift).astype(inputs.v.dtype))
    same = np.any(admitted_keys(problem, inputs), axis=-1, keepdims=True)
    broken = "v -> 2v + b does not turn the output o into 2o + b, so the weights of a row do not sum to one"
    return Twin(first, second, lambda o: 2 * o + shift, 2, same, broken)


def _shifted_keys(problem: Problem, inputs: Inputs, rng: np.random.Generator) -> Twin[Inputs]:
    """One vector added to every key adds one number to all scores of a row, which softmax does not see."""
    first = dataclasses.replace(inputs, k=_on_grid(inputs.k))
    shift = GRID * rng.integers(-24, 25, problem.head_dim)
    second = dataclasses.replace(first, k=(first.k.astype(np.float64) + shift).astype(inputs.k.dtype))
    return Twin(first, second, lambda o: o, 1, True, "adding one vector to every key changes the output")


def _independent_batches(problem: Problem, inputs: Inputs, rng: np.random.Generator) -> Twin[Inputs]:
    """A batch element depends on its own arrays alone."""
    b = int(rng.integers(problem.batch))
    second = _altered(inputs, (slice(b, b + 1),))
    same = (np.arange(problem.batch) != b)[:, None, None, None]
    return Twin(inputs, second, lambda o: o, 1, same, f"changing batch element {b} changes another")


def _independent_heads(problem: Problem, inputs: Inputs, rng: np.random.Generator) -> Twin[Inputs]:
    """A query head depends on itself and on its key/value head alone."""
    kv = int(rng.integers(problem.kv_heads))
    second = _altered(inputs, (slice(None), slice(kv, kv + 1)), names="kv")
    same = (np.arange(problem.q_heads) // problem.group != kv)[None, :, None, None]
    broken = f"changing key/value head {kv} changes a query head that does not read it"
    return Twin(inputs, second, lambda o: o, 1, same, broken)


def _unseen_keys(problem: Problem, inputs: Inputs, rng: np.random.Generator) -> Twin[Inputs]:
    """A key that a query may not attend to, and its value, cannot matter to it; under a causal mask, the future."""
    j = int(rng.integers(problem.kv_len // 2, problem.kv_len))
    second = _altered(inputs, (slice(None), slice(None), slice(j, j + 1)), names="kv")
    same = ~admitted_keys(problem, inputs)[..., j : j + 1]
    return Twin(inputs, second, lambda o: o, 1, same, f"changing key {j} changes a query that may not attend to it")


PROPERTIES: dict[str, Callable[[Problem, Inputs, np.random.Generator], Twin[Inputs]]] = {
    "permuted-keys": _permuted_keys,
    "affine-values": _affine_values,
    "shifted-keys": _shifted_keys,
    "independent-batches": _independent_batches,
    "independent-heads": _independent_heads,
    "unseen-keys": _unseen_keys,
}


def _convex_hull(problem: Problem, inputs: Inputs, solve: Solve) -> str | None:
    """Each output lies between the least and the greatest of the values that its row may attend to."""
    o = solve(problem, inputs)["o"].astype(np.float64)
    bound = expected(problem, inputs)["o"]
    seen = admitted_keys(problem, inputs)
    v = np.repeat(inputs.v.astype(np.float64), problem.group, axis=1)
    low = np.where(seen[..., None], v[:, :, None], np.inf).min(axis=3)
    high = np.where(seen[..., None], v[:, :, None], -np.inf).max(axis=3)
    some = seen.any(axis=-1, keepdims=True)
    low, high = np.where(some, low, 0.0), np.where(some, high, 0.0)
    beyond = bound.checked(np.maximum(low - o, o - high))
    outside = ~(beyond <= bound.bound)
    if not outside.any():
        return None
    place = list(bound.place(tuple(int(n) for n in np.unravel_index(np.argmax(outside), outside.shape))))
    return f"o{place} lies outside the values that its row may attend to, so it is not their mean"


def _value_gradient_sums(problem: Problem, inputs: Inputs, solve: Solve) -> str | None:
    """Over all keys dv adds up to the sum of do over the queries that see any, since the weights of a row sum to one.

    However far off its scores are: the bound has none of their error in it.
    """
    assert inputs.do is not None
    dv = solve(problem, inputs)["dv"].astype(np.float64)
    do = inputs.do.astype(np.float64) * admitted_keys(problem, inputs).any(axis=-1, keepdims=True)
    grouped = do.reshape(problem.batch, problem.kv_heads, problem.group * problem.q_len, problem.v_head_dim)
    unit, terms = Roundoff.of(problem.dtype), problem.group * problem.q_len
    relative = (3 + EXP_ULPS) * unit.accumulator + unit.storage + unit.gamma(problem.kv_len) + unit.gamma(terms)
    relative += unit.gamma(problem.group, unit.storage) if problem.group > 1 else 0.0
    size = np.abs(grouped).sum(axis=2)
    admitted = 2 * relative * size + 2 * unit.storage * np.abs(dv).sum(axis=2)
    admitted += 4 * unit.smallest * problem.kv_len * (1 + size)
    gap = np.abs(dv.sum(axis=2) - grouped.sum(axis=2))
    outside = ~(gap <= admitted)
    if not outside.any():
        return None
    b, h, c = (int(n) for n in np.unravel_index(np.argmax(np.where(outside, np.nan_to_num(gap, nan=np.inf), -1)), gap.shape))
    return (
        f"the weights of a row do not sum to one: over all keys, dv[{b}, {h}, :, {c}] is {gap[b, h, c]:.3g} from the sum of "
        f"do, where rounding may account for {admitted[b, h, c]:.3g}"
    )


WHOLE: dict[str, Callable[[Problem, Inputs, Solve], str | None]] = {
    "convex-hull": _convex_hull,
    "value-gradient-sums": _value_gradient_sums,
}
"""Properties of one run alone."""

NAMES = (*PROPERTIES, *WHOLE)
BACKWARD = ("value-gradient-sums",)
"""Properties of gradients."""


def admitted_keys(problem: Problem, inputs: Inputs) -> np.ndarray:
    """Boolean (batch, q_heads, q_len, kv_len): the keys that a query may attend to, from every cause at once.

    Written apart from `harness.masks`, which the implementations that are judged here use.
    """
    low, high = problem.band
    distance = np.arange(problem.kv_len) - np.arange(problem.q_len)[:, None]
    seen = np.broadcast_to(
        (distance >= low) & (distance <= high), (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
    )
    if inputs.mask is not None:
        seen = seen & inputs.mask
    if inputs.bias is not None:
        seen = seen & ~np.isneginf(inputs.bias.astype(np.float64))
    return seen


def _altered(inputs: Inputs, at: tuple[slice, ...], names: str = "qkv") -> Inputs:
    """A copy with large other numbers at `at` of the named arrays; finite, since 0 · inf is nan in every library."""
    changed = {}
    for name in names:
        array = getattr(inputs, name).copy()
        array[at] = (7 - 5 * array[at].astype(np.float64)).astype(array.dtype)
        changed[name] = array
    return dataclasses.replace(inputs, **changed)
