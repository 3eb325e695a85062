"""Arrays elsewhere in memory: equal values unless the place says otherwise, with the strides that it promises."""

import faulthandler
import multiprocessing
import signal

import numpy as np
import pytest

from harness.frameworks import adapter
from harness.operators.attention.cases.problems import small
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.storage import PLACES
from harness.operators.attention.variations import vary
from harness.plugins.bound_call import BoundCall
from harness.registry import implementation

PROBLEM = small(batch=2, q_len=21, mask="random-b1qk", bias="normal-1hqk", direction="backward")
TENSORS = ("q", "k", "v", "do")
OTHER_VALUES = ("expanded", "one-array", "expanded-extras")


def arrays(inputs):
    return {name: getattr(inputs, name) for name in (*TENSORS, "mask", "bias")}


@pytest.mark.parametrize("place", [place for place in PLACES if place not in OTHER_VALUES])
def test_values_stay_as_they_are(place):
    for (name, made), moved in zip(
        arrays(make_inputs(PROBLEM, 3)).items(), arrays(vary(PROBLEM, place, 3)).values(), strict=True
    ):
        np.testing.assert_array_equal(moved, made, err_msg=name)


@pytest.mark.parametrize(
    "place, promised",
    [
        ("strided", lambda x: x.strides[1] < x.strides[2] and x.strides[3] == x.itemsize),
        ("transposed", lambda x: x.strides[3] > x.strides[2] == x.itemsize),
        ("sliced", lambda x: x.strides[2] == 2 * x.shape[3] * x.itemsize),
        ("reversed", lambda x: x.strides[2] < 0),
        ("offset", lambda x: x.ctypes.data % 64 == x.itemsize and x.flags.c_contiguous),
        ("protected", lambda x: x.flags.writeable and x.ctypes.data % 4096 == 0),
        ("read-only", lambda x: not x.flags.writeable),
    ],
)
def test_tensors_have_the_strides_that_the_place_is_named_for(place, promised):
    inputs = vary(PROBLEM, place, 3)
    assert all(promised(getattr(inputs, name)) for name in TENSORS)
    assert all(getattr(inputs, name).flags.writeable for name in TENSORS) == (place != "read-only")


def test_expanded_arrays_repeat_by_a_stride_of_zero():
    inputs = vary(PROBLEM, "expanded", 3)
    assert inputs.q.strides[0] == 0 and inputs.k.strides[:2] == (0, 0) and inputs.v.strides[1] == 0
    assert inputs.do.strides == (0, 0, 0, 0)
    np.testing.assert_array_equal(inputs.q[0], inputs.q[1])


def test_fused_arrays_are_parts_of_one_buffer_and_one_array_is_one():
    fused = vary(PROBLEM, "fused", 3)
    assert fused.q.base is fused.k.base is fused.v.base is not None
    assert fused.k.ctypes.data - fused.q.ctypes.data == PROBLEM.q_heads * PROBLEM.head_dim * 4
    one = vary(PROBLEM, "one-array", 3)
    assert one.q is one.k is one.v


def write_to(inputs, name):
    faulthandler.disable()  # pytest's would print where it happened, which is meant.
    getattr(inputs, name)[...] = 0


@pytest.mark.parametrize("name", [*TENSORS, "mask", "bias"])
def test_who_writes_to_a_protected_array_is_ended_by_the_processor(name):
    inputs = vary(PROBLEM, "protected", 3)
    child = multiprocessing.get_context("fork").Process(target=write_to, args=(inputs, name))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGSEGV


@pytest.mark.parametrize("layout", ["BHSD", "BSHD"])
@pytest.mark.parametrize("place", PLACES)
def test_an_implementation_sees_these_arrays_in_either_layout(place, layout):
    seen = {}

    @implementation("looks", framework="numpy", layout=layout)
    def looks(problem):
        def attention(**arrays):
            seen.update(arrays)

        return lambda q, k, v, **extras: attention(q=q, k=k, v=v, **extras)

    problem = PROBLEM.replace(direction="forward")
    inputs = vary(problem, place, 3)
    solver = BoundCall(looks, adapter("numpy")("cpu", 1), problem)
    solver.bind(inputs.arrays, where_they_lie=True)
    solver.call()
    assert solver.copied_inputs() == []
    axes = (0, 2, 1, 3) if layout == "BSHD" else (0, 1, 2, 3)
    for name in "qkv":
        given = getattr(inputs, name)
        np.testing.assert_array_equal(seen[name], given.transpose(axes))
        assert seen[name].strides == tuple(given.strides[axis] for axis in axes)
        assert seen[name].ctypes.data == given.ctypes.data
