"""The memory column against calls whose use is known to the byte, with the allocators of the frameworks."""

import importlib.util

import pytest

from tests.system.conftest import PLUGINS, Harness

pytestmark = [
    pytest.mark.xdist_group("memory_exact"),  # One process of pytest-xdist makes what the tests share.
    pytest.mark.skipif(importlib.util.find_spec("memray") is None, reason="memray is not installed"),
]

SIZES = (1024, 100 * 1024, 10 * 2**20, 50 * 2**20)
LARGEST = SIZES[-1]

PROBLEMS = f"""
[exact]
effort = {{ rounds = 1, min_rounds = 1, turn_s = 0.001, sample_s = 0.001, warmup_s = 0.001, cell_s = 0.001, budget_s = 600 }}
[[exact.problems]]
heads = 1
length = 1
head_dim = 4
window = {[[size, -1] for size in SIZES]}
"""

FRAMEWORKS = ("numpy", "torch", "jax", "tensorflow", "onnxruntime")
SCRATCH = [f"{name}-scratch" for name in FRAMEWORKS if importlib.util.find_spec(name)]
OTHERS = ["numpy-kept", "numpy-untouched", "python-scratch"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Rows of results.csv by (implementation, bytes that a call needs)."""
    harness = Harness(tmp_path_factory.mktemp("memory"))
    problems = harness.write("exact.toml", PROBLEMS)
    names = ",".join([*SCRATCH, *OTHERS])
    done = harness("run", "--plugin", PLUGINS / "scratch.py", "--impl", names, "--problems", problems, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return {(row.implementation, int(row.window.split(",")[0])): row for row in harness.results("out").itertuples()}


def of_the_arena(size):
    """What ONNX Runtime's arena keeps beside the memory itself, in bytes: 8 for each 256 of a region.

    A region's size is a power of two (`AllocationRegion`, onnxruntime/core/framework/bfc_arena.h), and at least 1 MiB. What
    that one has beside it is less than what counts as a buffer.
    """
    return (1 << (size - 1).bit_length()) // 256 * 8 if size > 2**20 else 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*SCRATCH, "numpy-kept", "python-scratch"])
def test_the_workspace_is_what_the_call_needs(measured, name, size):
    row = measured[name, size]
    needed = size + (of_the_arena(size) if name == "onnxruntime-scratch" else 0)
    tolerance = max(0.02 * needed, row.memory_resolution_bytes)
    assert row.workspace_bytes == pytest.approx(needed, abs=tolerance), row.memory_method


@pytest.mark.parametrize("size", SIZES[1:-1])
@pytest.mark.parametrize("name", [*SCRATCH, "numpy-kept"])
def test_it_is_known_better_than_by_the_mark(measured, name, size):
    row = measured[name, size]
    assert row.memory_method == "allocation trace (memray)"
    assert row.memory_resolution_bytes <= 16 * 1024


def test_the_mark_stands_where_it_is_known_to_two_percent(measured):
    assert measured["torch-scratch", LARGEST].memory_method == "VmHWM after clear_refs"


@pytest.mark.parametrize("size", SIZES[1:])
def test_what_is_never_touched_does_not_count(measured, size):
    row = measured["numpy-untouched", size]
    assert row.workspace_bytes <= row.memory_resolution_bytes


@pytest.mark.parametrize("name", SCRATCH)
def test_the_peak_is_the_workspace_with_inputs_and_output(measured, name):
    row = measured[name, LARGEST]
    assert row.peak_memory_bytes - row.workspace_bytes == 4 * 4 * 4  # q, k, v and o of 4 numbers of 4 bytes.
