"""The high-water mark: what a call touched at its highest, whatever it kept."""

import numpy as np
import pytest

from harness.measure import memory
from harness.workers.failure import OUT_OF_MEMORY

MIB = 2**20
AMOUNT = 128 * MIB

SLACK = AMOUNT // 8

resets = pytest.mark.skipif(not memory.can_reset(), reason="this kernel does not let a process reset its high-water mark")


def rise(call):
    result, mark = memory.watch(call)
    del result
    return mark.peak - mark.before


@resets
def test_what_a_call_returns_counts():
    assert rise(lambda: np.ones(AMOUNT, np.uint8)) == pytest.approx(AMOUNT, abs=SLACK)


@resets
def test_what_a_call_gives_back_counts_too():
    def scratch():
        return int(np.ones(AMOUNT, np.uint8).sum())

    assert rise(scratch) == pytest.approx(AMOUNT, abs=SLACK)
    assert memory.watch(scratch)[0] == AMOUNT


@resets
def test_only_the_highest_moment_counts():
    def one_after_the_other():
        for _ in range(3):
            np.ones(AMOUNT, np.uint8).sum()

    assert rise(one_after_the_other) == pytest.approx(AMOUNT, abs=SLACK)


@resets
def test_an_earlier_peak_leaves_no_trace():
    np.ones(AMOUNT, np.uint8).sum()
    assert rise(lambda: None) < SLACK


@resets
def test_memory_that_is_never_touched_does_not_count():
    assert rise(lambda: np.empty(AMOUNT, np.uint8)) < SLACK


@resets
def test_what_was_there_before_does_not_count():
    there = np.ones(AMOUNT, np.uint8)
    assert rise(lambda: there[::4096].sum()) < SLACK


def test_the_result_of_the_call_is_handed_on():
    assert memory.watch(lambda: "result")[0] == "result"


def test_resident_bytes_follow_what_is_kept():
    before = memory.resident_bytes()
    kept = np.ones(AMOUNT, np.uint8)
    between = memory.resident_bytes()
    del kept
    memory.trim()
    assert between - before == pytest.approx(AMOUNT, abs=SLACK)
    assert memory.resident_bytes() - before < SLACK


def test_a_kernel_that_does_not_reset_the_mark_is_said_to(monkeypatch, tmp_path):
    assert memory.can_reset() == (memory.method() == "VmHWM after clear_refs")
    monkeypatch.setattr(memory, "CLEAR_REFS", str(tmp_path / "no" / "such" / "file"))
    assert not memory.can_reset()
    assert memory.method() == "ru_maxrss"
    # The process's highest mark of all times: never less than what the call took.
    kept, mark = memory.watch(lambda: np.ones(AMOUNT, np.uint8))
    assert mark.peak >= mark.before
    assert mark.peak + SLACK >= memory.resident_bytes() >= kept.nbytes


def test_a_call_that_raises_is_not_swallowed():
    def fail():
        raise MemoryError("too much")

    with pytest.raises(MemoryError, match="too much"):
        memory.watch(fail)


@resets
def test_the_mark_is_wrong_by_less_than_its_step():
    few_pages = 2**17  # Of Python itself.
    for amount in (MIB, 4 * MIB, AMOUNT):
        found = rise(lambda amount=amount: np.ones(amount, np.uint8))
        assert found == pytest.approx(amount, abs=memory.step_bytes() + few_pages)


@pytest.mark.parametrize(
    "release, online, usable, step",
    [
        ("6.18.44", 2, 2, 512 * 1024),  # 2 counters of 2 CPUs, 32 pages each.
        ("6.2.0-39-generic", 64, 4, 4 * MIB),  # 128 pages, twice the CPUs.
        ("5.15.0", 64, 4, 2 * MIB),  # 64 pages a thread.
    ],
)
def test_the_step_follows_from_the_kernel_and_the_cpus(monkeypatch, release, online, usable, step):
    monkeypatch.setattr(memory.platform, "release", lambda: release)
    monkeypatch.setattr(memory.os, "cpu_count", lambda: online)
    monkeypatch.setattr(memory.os, "sched_getaffinity", lambda pid: set(range(usable)))
    monkeypatch.setattr(memory.mmap, "PAGESIZE", 4096)
    assert memory.step_bytes() == step


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2 GiB",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 68719476736 bytes",
        "RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "Unable to allocate 64.0 GiB for an array with shape (8, 32768, 32768)",
        "OOM when allocating tensor with shape[8,32768,32768]",
    ],
)
def test_want_of_memory_is_recognised_in_every_framework_s_words(said):
    assert OUT_OF_MEMORY.search(f"RuntimeError: {said}")


@pytest.mark.parametrize("said", ["Segmentation fault", "shape mismatch", "CUDA error: an illegal memory access"])
def test_other_failures_are_not_want_of_memory(said):
    assert not OUT_OF_MEMORY.search(said)
