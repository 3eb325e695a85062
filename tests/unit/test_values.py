"""Other values for every call: never the same, of the same distribution, and those of a seed the same in every process."""

import dataclasses
import math

import numpy as np
import pytest

from harness.frameworks import adapter
from harness.measure import values
from harness.measure.fresh_call import FreshCall, KnownCall
from harness.multi_head import MULTI_HEAD
from harness.operators import checks
from harness.operators.attention.operator import ATTENTION
from harness.plugins.bound_call import BoundCall
from harness.plugins.registry import discover
from harness.problem import Problem

PROBLEM = Problem(batch=2, q_heads=2, q_len=5, kv_len=7, head_dim=4, mask="padding", bias="blocking-qk")
BACKWARD = Problem(batch=1, q_heads=2, q_len=5, head_dim=4, direction="backward")


def fresh(problem, layout="BHSD", framework="numpy"):
    """A fresh call of NumPy's implementation, told what it is given each time."""
    one = dataclasses.replace(discover().of("attention").implementations["numpy"], layout=layout)
    given = []

    def factory(posed):
        def attention(q, k, v, **extras):
            given.append({"q": q.copy(), "k": k.copy(), "v": v.copy(), **extras})
            return np.zeros(posed.o_shape, np.float32)

        return attention

    bound = BoundCall(dataclasses.replace(one, factory=factory), adapter(framework)("cpu", 1), problem)
    bound.bind(ATTENTION.inputs(problem))
    return FreshCall(bound, ATTENTION, 0), given


def test_masks_biases_and_weights_stay_and_everything_else_changes():
    assert values.changing(ATTENTION, ATTENTION.inputs(PROBLEM)) == ("q", "k", "v")
    assert values.changing(ATTENTION, ATTENTION.inputs(BACKWARD)) == ("q", "k", "v", "do")
    layer = MULTI_HEAD.problem(q_heads=2, kv_heads=2, q_len=1, cache=4, width=8, head_dim=4, biases=True)
    assert values.changing(MULTI_HEAD, MULTI_HEAD.inputs(layer)) == ("x", "k_cache", "v_cache")


@pytest.mark.parametrize("seed", range(5))
def test_every_element_is_another_and_all_are_still_there(seed):
    inputs = ATTENTION.inputs(PROBLEM)
    changed = values.others(inputs, ("q", "k", "v"), seed)
    for name in ("q", "k", "v"):
        assert (changed[name] != inputs[name]).all()
        assert np.array_equal(np.sort(changed[name], axis=None), np.sort(inputs[name], axis=None))
    assert changed["mask"] is inputs["mask"] and changed["bias"] is inputs["bias"]
    again = values.others(ATTENTION.inputs(PROBLEM), ("q", "k", "v"), seed)
    assert all(again[name].tobytes() == changed[name].tobytes() for name in inputs)


def test_no_two_calls_have_the_same_values_in_the_same_arrays():
    target, given = fresh(PROBLEM)
    target.begin(3, None)
    addresses = set()
    for _ in range(20):
        target.next_call()()
        addresses.add(target.bound.given["q"].ctypes.data)
    seen = {tuple(call[name].tobytes() for name in ("q", "k", "v")) for call in given}
    assert len(seen) == len(given) == 20 and len(addresses) == 1
    assert all(call["mask"] is given[0]["mask"] for call in given)


@pytest.mark.parametrize("sizes", [(5, 7, 4), (2, 3), (385, 385, 385), (2,)])
def test_offsets_do_not_come_again_before_all_have_come(sizes):
    offsets, some = values.Offsets(sizes), min(math.prod(size - 1 for size in sizes), 20_000)
    drawn = [tuple(next(offsets)) for _ in range(some)]
    assert len(set(drawn)) == some
    assert all(1 <= offset < size for one in drawn for offset, size in zip(one, sizes, strict=True))


@pytest.mark.parametrize("layout", ["BHSD", "BSHD"])
def test_the_call_that_is_verified_gets_what_the_parent_makes(layout):
    target, given = fresh(PROBLEM, layout)
    target.begin(3, KnownCall(99, after=2))
    for number in range(4):
        target.finished(target.next_call()())
        assert (target.kept is not None) == (number >= 2)
    known = values.others(ATTENTION.inputs(PROBLEM), ("q", "k", "v"), 99)
    order = ATTENTION.layouts[layout] or (0, 1, 2, 3)
    matches = [all(np.array_equal(call[name], known[name].transpose(order)) for name in ("q", "k", "v")) for call in given]
    assert matches == [False, False, True, False]


def test_where_the_adapter_copies_the_copies_change_too():
    pytest.importorskip("jax")
    import jax

    target, _ = fresh(Problem(q_len=4, head_dim=4), framework="jax")
    before = target.bound.native_inputs["q"]
    target.begin(1, None)
    target.next_call()
    assert isinstance(target.bound.native_inputs["q"], jax.Array)
    assert not np.array_equal(before, target.bound.native_inputs["q"])


@pytest.mark.parametrize("known", [None, KnownCall(7, after=1)])
def test_the_saved_state_of_a_turn_is_of_the_values_that_its_gradient_is_of(known):
    """The gradients of the kept call are the oracle's for what the parent makes; those of every other turn have others."""
    bound = BoundCall(discover().of("attention").implementations["numpy"], adapter("numpy")("cpu", 1), BACKWARD)
    bound.bind(ATTENTION.inputs(BACKWARD))
    target = FreshCall(bound, ATTENTION, 0)
    target.begin(3, known)
    for _ in range(3):
        target.finished(target.next_call()())
    if known is None:
        assert target.kept is None and (bound.given["q"] != ATTENTION.inputs(BACKWARD)["q"]).all()
        return
    answer = ATTENTION.expected(BACKWARD, values.others(ATTENTION.inputs(BACKWARD), ("q", "k", "v", "do"), 7))
    assert checks.accuracy(target.kept.outputs, answer).correct
