"""Cold caches: what is dropped, when, where a framework's arrays lie, and for which problems."""

import ctypes
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from harness.errors import UserError
from harness.frameworks import ADAPTERS, adapter, cache_lines
from harness.measure import eviction
from harness.measure.fresh_call import FreshCall
from harness.measure.plan import Plan
from harness.multi_head import MULTI_HEAD
from harness.operators.attention.operator import ATTENTION
from harness.plugins.bound_call import BoundCall
from harness.plugins.registry import discover
from harness.problem import Problem
from harness.runs.request import Request, plan
from tests.unit import factories

DECODE = Problem(batch=1, q_heads=2, q_len=1, kv_len=8, head_dim=4)
PREFILL = Problem(batch=1, q_heads=2, q_len=8, head_dim=4)


@pytest.mark.parametrize("first, size", [(0, 4096), (8, 100), (60, 8), (0, 0), (64, 64)])
def test_what_is_dropped_keeps_its_values(first, size):
    array = np.arange(4096, dtype=np.uint8)
    cache_lines.evict(array.ctypes.data + first, size)
    assert (array == np.arange(4096, dtype=np.uint8)).all()


def test_every_line_that_has_a_byte_of_an_array_is_dropped(monkeypatch):
    lines = []
    monkeypatch.setattr(cache_lines, "_compiled", lambda: lambda address, count: lines.append((address // 64, count)))
    for address, size in ((128, 64), (128, 65), (190, 4), (191, 1), (0, 0)):
        cache_lines.evict(address, size)
    assert lines == [(2, 1), (2, 2), (2, 2), (2, 1)]


WHERE_ARRAYS_LIE = """
import ctypes, sys
import ml_dtypes
import numpy as np
from harness.frameworks import adapter

framework = adapter(sys.argv[1])("cpu", 1)
for dtype in (np.float32, ml_dtypes.bfloat16, bool):
    given = (np.arange(64).reshape(1, 4, 4, 4) % 7).astype(dtype)
    native = framework.from_numpy(given)
    assert ctypes.string_at(*framework.extent(native)) == given.tobytes(), dtype
write = framework.writer(4096)
write()
write()
"""


@pytest.mark.parametrize("name", [name for name in ADAPTERS if "cuda" not in name])
def test_a_framework_tells_where_its_arrays_lie(name):
    if reason := adapter(name).unavailable("cpu"):
        pytest.skip(reason)
    environment = {**os.environ, **adapter(name).environment("cpu", 1)}
    done = subprocess.run(
        [sys.executable, "-c", WHERE_ARRAYS_LIE, name], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_of_a_view_the_whole_extent_is_dropped():
    array = np.zeros((4, 6), np.float32)
    assert adapter("numpy")("cpu", 1).extent(array.T[1:]) == (array.ctypes.data + 4, array.nbytes - 4)


@pytest.mark.parametrize(
    "cache, problem, cold",
    [
        ("", DECODE, True),
        ("", PREFILL, False),
        ("hot", DECODE, False),
        ("cold", PREFILL, True),
        ("", MULTI_HEAD.problem(q_heads=2, kv_heads=2, q_len=1, cache=4, width=8, head_dim=4), True),
        ("", MULTI_HEAD.problem(q_heads=2, kv_heads=2, q_len=1, width=8, head_dim=4), False),
    ],
)
def test_one_query_against_a_cache_is_cold_unless_told_otherwise(cache, problem, cold):
    assert factories.plan(cache=cache).is_cold(problem) is cold


def test_a_plan_of_old_goes_on_with_hot_caches():
    data = json.loads(json.dumps(factories.plan(cache="").to_json()))
    del data["cache"]
    assert Plan.from_json(data, ATTENTION).cache == "hot"


def test_a_processor_whose_caches_cannot_be_emptied_is_measured_hot_or_not_at_all(monkeypatch):
    monkeypatch.setattr(cache_lines, "_instruction", lambda: "")
    request = Request(implementations="numpy")
    assert plan(request, discover()).cache == "hot"
    with pytest.raises(UserError, match="--cache cold is not possible here: no instruction"):
        plan(dataclasses.replace(request, cache="cold"), discover())


def test_the_inputs_of_a_call_are_dropped_after_they_were_written_and_a_layers_weights_are_not(monkeypatch):
    dropped = []
    monkeypatch.setattr(eviction, "evict", lambda address, size: dropped.append(ctypes.string_at(address, size)))
    problem = MULTI_HEAD.problem(q_heads=2, kv_heads=2, q_len=1, cache=4, width=8, head_dim=4)
    one = discover().of("multi-head").implementations["numpy"]
    bound = BoundCall(one, adapter("numpy")("cpu", 1), problem)
    bound.bind(MULTI_HEAD.inputs(problem))
    target = FreshCall(bound, MULTI_HEAD, 0, cold=True)
    for _ in range(2):
        dropped.clear()
        target.next_call()
        assert dropped == [bound.given[name].tobytes() for name in ("x", "k_cache", "v_cache")]
    FreshCall(bound, MULTI_HEAD, 0).next_call()
    assert len(dropped) == 3
