"""The memory of a call from the order of its allocations: sums over short histories that can be done in the head."""

import mmap

import numpy as np
import pytest

from harness.measure.allocations import FEW_OBJECTS, METHOD, Call, Event, LiveMemory, Pages, Peak, Traced, peak, refined
from harness.records.cell import Memory

KIB, PAGE = 1024, mmap.PAGESIZE
MARKED = Memory(100 * KIB, 40 * KIB, "some mark", 512 * KIB)


def history(*steps):
    """Sizes in KiB by address: (address, size) allocates, (address, 0) frees."""
    return Call([Event(address, size * KIB) for address, size in steps])


def traced(*peaks, python=0, kept=0, step=1):
    return Traced(tuple(peaks), python, kept, step)


# --- what was live -----------------------------------------------------------------------------------


def test_only_what_a_call_allocates_is_of_the_call():
    live = LiveMemory()
    live.allocate(1, 8 * KIB)
    live.begin_call()
    live.allocate(2, 4 * KIB)
    live.free(2)
    live.end_call()
    live.allocate(3, 2 * KIB)
    assert live.calls == [Call([Event(2, 4 * KIB), Event(2, -4 * KIB)])]


def test_what_stays_through_a_call_is_kept():
    live = LiveMemory()
    live.allocate(1, 8 * KIB)
    live.allocate(2, 2 * KIB)
    live.begin_call()
    live.free(2)
    live.allocate(2, 2 * KIB)  # Another piece, at the address of the one before.
    live.end_call()
    assert live.kept == {1: 8 * KIB}
    assert live.calls[0].released == 2 * KIB


def test_small_pieces_are_not_kept():
    live = LiveMemory()
    live.allocate(1, KIB - 1)
    live.allocate(2, KIB)
    live.begin_call()
    live.end_call()
    assert live.kept == {2: KIB}


def test_a_free_that_was_not_seen():
    live = LiveMemory()
    live.begin_call()
    live.allocate(1, 8 * KIB)
    live.allocate(1, 4 * KIB)
    live.free(7)
    live.end_call()
    assert peak(live.calls[0]).bytes == 8 * KIB
    assert live.calls[0].events == [Event(1, 8 * KIB), Event(1, -8 * KIB), Event(1, 4 * KIB)]


# --- the highest moment ------------------------------------------------------------------------------


def test_the_highest_moment_is_neither_the_sum_nor_the_end():
    assert peak(history((1, 8), (2, 4), (2, -4), (1, -8), (3, 6), (3, -6))).bytes == 12 * KIB


def test_a_call_that_allocates_nothing():
    assert peak(Call()) == Peak()


def test_small_pieces_stand_beside_the_others():
    call = Call([Event(1, 1000), Event(2, 4 * KIB), Event(3, 100), Event(3, -100), Event(1, -1000)])
    assert (peak(call).bytes, peak(call).small) == (4 * KIB, 1000)


def test_what_has_not_been_touched_does_not_count():
    pages = Pages(0, np.array([True] * 3 + [False] * 29))
    found = peak(Call([Event(0, 32 * PAGE)]), pages)
    assert (found.bytes, found.requested) == (3 * PAGE, 32 * PAGE)
    # The piece before it may have been what touched the first, and the allocator another.
    assert found.unsure == 2 * PAGE


def test_what_has_been_touched_everywhere_counts_to_the_byte():
    pages = Pages(0, np.ones(33, bool))
    assert peak(Call([Event(100, 32 * PAGE)]), pages).bytes == 32 * PAGE


def test_pages_that_two_pieces_had_one_after_the_other():
    """The second piece, touched on its first page, lies where the first one was touched on all of its pages."""
    pages = Pages(0, np.array([True] * 16 + [False] * 16))
    found = peak(Call([Event(0, 16 * PAGE), Event(0, -16 * PAGE), Event(0, 32 * PAGE), Event(5, KIB)]), pages)
    assert (found.bytes, found.unsure) == (16 * PAGE + KIB, 17 * PAGE)


def test_outside_the_heap_every_page_counts():
    pages = Pages(2**30, np.zeros(100, bool))
    assert peak(Call([Event(2**29, 64 * KIB)]), pages).bytes == 64 * KIB


# --- several calls -----------------------------------------------------------------------------------


def test_the_call_that_needed_most_and_how_far_it_is_from_the_least():
    found = traced(Peak(5 * KIB), Peak(11 * KIB), Peak(9 * KIB))
    assert (found.during, found.resolution) == (11 * KIB, 6 * KIB)


@pytest.mark.parametrize(
    "found, resolution",
    [
        (traced(Peak(9 * KIB)), KIB),
        (traced(Peak(9 * KIB, small=3000)), 3000),
        (traced(Peak(9 * KIB, unsure=PAGE)), PAGE),
        (traced(Peak(9 * KIB), step=PAGE), PAGE),
        (traced(Peak(9 * KIB, requested=9 * KIB), python=9 * KIB + 5000), 5000),
    ],
)
def test_the_resolution_is_what_is_known_least(found, resolution):
    assert found.resolution == resolution


def test_objects_of_python_count_where_they_are_many():
    peaks = Peak(9 * KIB, requested=9 * KIB)
    assert traced(peaks, python=9 * KIB + FEW_OBJECTS).during == 9 * KIB
    assert traced(peaks, python=9 * KIB + FEW_OBJECTS + 1).during == 9 * KIB + FEW_OBJECTS + 1


def test_arrays_of_numpy_do_not_count_twice():
    assert traced(Peak(9 * KIB, requested=64 * KIB), python=64 * KIB).during == 9 * KIB


# --- the trace and the mark --------------------------------------------------------------------------


def test_the_trace_is_believed_where_the_mark_allows_it():
    found = refined(MARKED, 30 * KIB, traced(Peak(300 * KIB, large=300 * KIB), kept=50 * KIB), 20 * KIB)
    assert found == Memory(60 * KIB + 330 * KIB, 330 * KIB, METHOD, KIB)


@pytest.mark.parametrize("rise", [9 * 2**20, 20 * 2**20], ids=["never touched", "allocated unseen"])
def test_the_mark_is_believed_where_the_trace_contradicts_it(rise):
    found = refined(MARKED, rise, traced(Peak(12 * 2**20, large=12 * 2**20), kept=50 * KIB), 20 * KIB)
    workspace = rise + 30 * KIB
    assert found == Memory(60 * KIB + workspace, workspace, MARKED.method, MARKED.resolution_bytes)


def test_small_pieces_may_lie_where_memory_was_resident():
    assert traced(Peak(4 * 2**20, large=0)).agrees(0, 512 * KIB)


def test_what_a_call_released_may_have_made_room():
    released = Peak(12 * 2**20, large=12 * 2**20, released=4 * 2**20)
    assert traced(released).agrees(8 * 2**20, 512 * KIB)
    assert refined(MARKED, 2 * 2**20, traced(released), 0).workspace_bytes == 6 * 2**20


def test_a_workspace_is_never_below_zero():
    assert refined(MARKED, 0, traced(Peak(4 * KIB)), 8 * KIB).workspace_bytes == 0
