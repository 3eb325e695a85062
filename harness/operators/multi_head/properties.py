"""Properties of the layer that need no oracle's value: runs of the implementation are compared with each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.attention.properties import admitted_keys
from harness.operators.base import Arrays, Solve
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.reference import expected
from harness.operators.twin import Twin, disagreement


def holds(name: str, problem: Problem, inputs: Arrays, solve: Solve, seed: int) -> str | None:
    """A sentence on how the property fails, or None."""
    if name == "weights-matter":
        return _weights_matter(problem, inputs, solve)
    twin = PROPERTIES[name](problem, inputs, np.random.default_rng(seed))
    return disagreement(
        twin, "out", lambda arrays: solve(problem, arrays)["out"], lambda arrays: expected(problem, arrays)["out"]
    )


def applies(name: str, problem: Problem) -> bool:
    """Whether the property can be asked of the problem at all."""
    if problem.direction == "backward" or 0 in problem.out_shape or problem.kv_len == 0:
        return False
    return {
        "permuted-heads": problem.kv_heads > 1,
        "independent-batches": problem.batch > 1,
        "independent-queries": problem.cross and problem.q_len > 1,
        "unseen-positions": problem.attention.banded or problem.mask is not None,
        "key-bias": problem.biases and problem.softcap is None and not problem.cache,
        "value-bias": problem.biases and not problem.cache and not problem.attention.may_have_empty_rows,
        "weights-matter": _every_weight_can_matter(problem),
    }.get(name, True)


def _every_weight_can_matter(problem: Problem) -> bool:
    """Whether each query has keys to choose from, and the dtype shows a small difference."""
    chooses = problem.kv_len > 1 and not problem.attention.banded and problem.mask is None and problem.softcap is None
    return chooses and problem.dtype in ("float32", "float64")


def _permuted_heads(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """Heads may be reordered, a group with its key/value head, if their columns and their rows of W^O are."""
    kv = rng.permutation(problem.kv_heads)
    group = problem.q_heads // problem.kv_heads
    q = (kv[:, None] * group + rng.permutation(group)).ravel()
    axes = {"wq": (1, q), "wk": (1, kv), "wv": (1, kv), "wo": (0, q), "bq": (0, q), "bk": (0, kv), "bv": (0, kv)}
    axes |= {"k_cache": (1, kv), "v_cache": (1, kv)}
    second = {name: np.take(a, axes[name][1], axes[name][0]) if name in axes else a for name, a in inputs.items()}
    if "mask" in inputs and inputs["mask"].ndim > 2 and inputs["mask"].shape[-3] > 1:
        second["mask"] = np.take(inputs["mask"], q, -3)
    broken = "reordering heads, in every projection alike, changes the output, so columns and heads do not belong together"
    return Twin(inputs, second, lambda out: out, 1, True, broken)


def _doubled_output_weights(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """The output is linear in W^O and b^O."""
    second = {name: (2 * a).astype(a.dtype) if name in ("wo", "bo") else a for name, a in inputs.items()}
    return Twin(inputs, second, lambda out: 2 * out, 2, True, "twice W^O and b^O do not give twice the output")


def _independent_batches(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """A batch element depends on its own arrays alone."""
    b = int(rng.integers(problem.batch))
    second = _altered(inputs, slice(b, b + 1), ("x", "y", "k_cache", "v_cache"))
    same = (np.arange(problem.batch) != b)[:, None, None]
    return Twin(inputs, second, lambda out: out, 1, same, f"changing batch element {b} changes another")


def _independent_queries(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """In cross-attention a position of x asks for itself alone."""
    i = int(rng.integers(problem.q_len))
    second = _altered(inputs, (slice(None), slice(i, i + 1)), ("x",))
    same = (np.arange(problem.q_len) != i)[:, None]
    return Twin(inputs, second, lambda out: out, 1, same, f"changing position {i} of x changes the output of another")


def _unseen_positions(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """A position that no head lets a query attend to cannot matter to it; under a causal mask, the future."""
    j = int(rng.integers((problem.projected + 1) // 2, problem.projected)) if problem.projected > 1 else 0
    second = _altered(inputs, (slice(None), slice(j, j + 1)), ("y" if problem.cross else "x",))
    nothing = np.empty(0)
    seen = admitted_keys(problem.attention, Inputs(nothing, nothing, nothing, inputs.get("mask")))
    same = ~np.any(seen[..., problem.cache + j], axis=1, keepdims=True).swapaxes(1, 2)
    if not problem.cross:
        same = same & (np.arange(problem.q_len) != j)[:, None]
    return Twin(inputs, second, lambda out: out, 1, same, f"changing position {j} changes a query that may not attend to it")


def _key_bias(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """b^K adds one number to all scores of a row, q·b^K, which softmax does not see."""
    second = {
        **inputs,
        "bk": (inputs["bk"].astype(np.float64) + rng.integers(-2, 3, inputs["bk"].shape)).astype(inputs["bk"].dtype),
    }
    return Twin(inputs, second, lambda out: out, 1, True, "another bias of the keys changes the output")


def _value_bias(problem: Problem, inputs: Arrays, rng: np.random.Generator) -> Twin[Arrays]:
    """The weights of a row sum to one, so that another b^V moves every output by its difference times W^O."""
    moved = (inputs["bv"].astype(np.float64) + rng.integers(1, 4, inputs["bv"].shape)).astype(inputs["bv"].dtype)
    by = np.repeat(moved.astype(np.float64) - inputs["bv"].astype(np.float64), problem.attention.group, axis=0)
    shift = np.einsum("hd,hde->e", by, inputs["wo"].astype(np.float64))
    broken = "another bias of the values does not move the output by its difference times W^O, so weights do not sum to one"
    return Twin(inputs, {**inputs, "bv": moved}, lambda out: out + shift, 1, True, broken)


PROPERTIES: dict[str, Callable[[Problem, Arrays, np.random.Generator], Twin[Arrays]]] = {
    "permuted-heads": _permuted_heads,
    "doubled-output-weights": _doubled_output_weights,
    "independent-batches": _independent_batches,
    "independent-queries": _independent_queries,
    "unseen-positions": _unseen_positions,
    "key-bias": _key_bias,
    "value-bias": _value_bias,
}

NAMES = (*PROPERTIES, "weights-matter")


def _weights_matter(problem: Problem, inputs: Arrays, solve: Solve) -> str | None:
    """Another value of any weight, and of any bias but b^K, gives another output: none is left out of the computation."""
    out, bound = solve(problem, inputs)["out"], expected(problem, inputs)["out"]
    for name in problem.weight_shapes:
        if name == "bk":
            continue
        other = {**inputs, name: np.ascontiguousarray(inputs[name][::-1, ...] * -1)}
        bounds = bound.bound + expected(problem, other)["out"].bound
        gap = bound.checked(np.abs(solve(problem, other)["out"].astype(np.float64) - out.astype(np.float64)))
        if not (gap > bounds).any():
            return f"{name} does not matter: another one gives the same output"
    return None


def _altered(inputs: Arrays, at: slice | tuple[slice, ...], names: tuple[str, ...]) -> Arrays:
    """A copy with large other numbers at `at` of the named arrays; finite, since 0 · inf is nan in every library."""
    changed = {}
    for name in names:
        if name in inputs:
            array = inputs[name].copy()
            array[at] = (7 - 5 * array[at].astype(np.float64)).astype(array.dtype)
            changed[name] = array
    return {**inputs, **changed}
