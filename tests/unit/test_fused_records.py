"""The records that Python writes and the fused CPU kernels read: one table gives both the places."""

import numba
import numpy as np
import pytest
from attention_harness.implementations.attention.numba_flash.layout import plan
from attention_harness.implementations.attention.numba_flash.layout.sizes import SIZES, sizes_at
from attention_harness.implementations.attention.numba_flash.runtime.call import (
    CALL,
    COUNTERS,
    OPERAND,
    OPERANDS,
    call_at,
    new_call,
)
from attention_harness.implementations.attention.numba_flash.runtime.records import Field, Record

from harness.problem import Problem

VALUES = {name: n + 3 for n, name in enumerate(SIZES.fields)}


def read(record, expression):
    """What a compiled function reads at an address."""
    names = {"at": record.at}
    exec(f"def read(address):\n    return at(address).{expression}\n", names)
    return numba.njit(names["read"])


@pytest.mark.parametrize("name", SIZES.fields)
def test_kernels_read_what_is_packed(name):
    packed = SIZES.pack(**VALUES)
    assert packed[name] == VALUES[name]
    assert read(SIZES, name)(packed.ctypes.data) == VALUES[name]


@pytest.mark.parametrize("changes", [{"q_len": None}, {"unknown": 1}])
def test_a_missing_or_unknown_size_is_refused(changes):
    values = {name: value for name, value in {**VALUES, **changes}.items() if value is not None}
    with pytest.raises(TypeError, match=f"missing or unknown: {next(iter(changes))}"):
        SIZES.pack(**values)


@pytest.mark.parametrize("operand", [field.name for field in OPERANDS])
def test_kernels_read_the_operands_of_a_call(operand):
    call = new_call(threads=2)
    call[:] = np.arange(call.size)
    for field in OPERAND.fields:
        assert read(CALL, f"{operand}.{field}")(call.ctypes.data) == CALL.word(operand) + OPERAND.word(field)


def test_the_counters_of_a_call_lie_behind_it_in_cache_lines_of_their_own():
    assert CALL.bytes // 8 + 8 <= COUNTERS
    assert new_call(threads=3).size == COUNTERS + 3 * 8


def test_every_field_says_what_it_is():
    for field in [*SIZES.fields.values(), *CALL.fields.values(), *OPERAND.fields.values()]:
        assert field.unit
        assert field.meaning


def test_a_plan_is_packed_by_name():
    problem = Problem(batch=2, q_heads=6, kv_heads=3, q_len=70, kv_len=90, head_dim=16, v_head_dim=8, causal="bottom-right")
    for one in plan.plan_forward(problem, 2), plan.plan_backward(problem, 2), plan.plan_decode(problem, 2):
        for name in ("batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim", "scale"):
            assert one.sizes[name] == getattr(problem, name)
        assert (one.sizes["low"], one.sizes["high"]) == problem.band
        assert one.sizes["workspace_bytes"] == one.work


def test_a_record_in_a_record_is_read_by_both_names():
    inner = Record("inner", Field("a", "", "the first"), Field("b", "", "the second", np.float64))
    outer = Record("outer", Field("x", "", "before"), Field("y", "", "within", inner))
    packed = np.zeros((), outer.dtype)
    packed["x"], packed["y"]["a"], packed["y"]["b"] = 1, 2, 3.5
    assert [read(outer, name)(packed.ctypes.data) for name in ("x", "y.a", "y.b")] == [1, 2, 3.5]
    assert call_at is CALL.at
    assert sizes_at is SIZES.at
