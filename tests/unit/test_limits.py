"""The processor's limits: what follows from them, exactly; how they are measured, but for the time it takes."""

import json
import math
import re
import subprocess
import sys
import threading
import types
from dataclasses import replace

import numba
import numpy as np
import pytest

from harness.frameworks import base, cache_lines
from harness.frameworks.microbenchmarks import multiply_add, read, vectors
from harness.measure import caches, microbenchmarks
from harness.measure.limits import measure_limits
from harness.measure.together import Threads
from harness.operators.dtypes import DTYPES
from harness.records.limits import MARGIN, MOST_FOREIGN, Arithmetic, CacheLevel, Limits
from harness.records.strict_json import dumps
from harness.workers.process import Worker

LIMITS = Limits(
    threads=2,
    arithmetic=(
        Arithmetic(dtype="float64", peak_flops_per_s={1: 50.0, 2: 100.0}, product_flops_per_s={1: 40.0, 2: 80.0}),
        Arithmetic(dtype="float32", peak_flops_per_s={1: 100.0, 2: 200.0}, product_flops_per_s={1: 90.0, 2: 210.0}),
        Arithmetic(dtype="bfloat16", peak_flops_per_s={1: 60.0}),
        Arithmetic(dtype="float16"),
    ),
    caches=(
        CacheLevel(name="L1", bytes=10, instances=2, read_bytes_per_s={1: 100.0, 2: 200.0}),
        CacheLevel(name="L2", bytes=100, instances=2, read_bytes_per_s={1: 50.0, 2: 100.0}),
        CacheLevel(name="L3", bytes=1000, instances=1, read_bytes_per_s={1: 10.0, 2: 20.0}),
    ),
    memory_read_bytes_per_s={1: 4.0, 2: 5.0},
    memory_copy_bytes_per_s={1: 3.0, 2: 4.0},
    foreign_share=0.01,
    warnings=("peak of float16: no instructions",),
)


# --- arithmetic -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, threads, rate",
    [
        ("float64", 1, 50.0),
        ("float64", 2, 100.0),
        ("float32", 1, 100.0),
        ("float32", 2, 210.0),  # The library's product is above our kernel's.
        ("bfloat16", 1, 100.0),  # Converted to float32.
        ("bfloat16", 2, 210.0),
        ("float16", 1, None),
        ("int8", 1, None),
        ("float32", 3, None),
    ],
)
def test_the_rate_is_the_highest_that_a_problem_can_be_computed_at(dtype, threads, rate):
    assert LIMITS.flops_per_s(dtype, threads) == rate


def test_matrix_units_may_compute_float32_as_three_products_of_bfloat16():
    fast = Arithmetic(dtype="bfloat16", product_flops_per_s={1: 1200.0, 2: 2400.0})
    limits = replace(LIMITS, arithmetic=(*LIMITS.arithmetic[:2], fast))
    assert limits.flops_per_s("bfloat16", 1) == 1200.0
    assert limits.flops_per_s("float32", 1) == 400.0
    assert limits.flops_per_s("float64", 1) == 50.0


def test_more_threads_can_do_the_work_of_one():
    noisy = Arithmetic(dtype="float32", peak_flops_per_s={1: 100.0, 2: 30.0})
    assert replace(LIMITS, arithmetic=(noisy,)).flops_per_s("float32", 2) == 100.0
    slow = CacheLevel(name="L1", bytes=10, instances=2, read_bytes_per_s={1: 100.0, 2: 10.0})
    assert Limits(threads=2, caches=(slow,)).read_s(20, 2) == 0.2


# --- bytes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, threads, seconds",
    [
        (0, 1, 0.0),
        (10, 1, 10 / 100),
        (20, 2, 20 / 200),  # Each thread has a first level of its own.
        (20, 1, 10 / 100 + 10 / 50),
        (110, 1, 10 / 100 + 100 / 50),
        (1110, 1, 10 / 100 + 100 / 50 + 1000 / 10),
        (1110, 2, 20 / 200 + 200 / 100 + 890 / 20),
        (2110, 1, 10 / 100 + 100 / 50 + 1000 / 10 + 1000 / 4),
    ],
)
def test_bytes_are_read_at_the_rate_of_the_level_that_has_room_for_them(size, threads, seconds):
    assert LIMITS.read_s(size, threads) == pytest.approx(seconds, rel=1e-15)


def test_a_level_is_no_slower_than_those_behind_it():
    first, second, *rest = LIMITS.caches
    slow = replace(second, read_bytes_per_s={1: 1.0, 2: 2.0})
    assert replace(LIMITS, caches=(first, slow, *rest)).read_s(110, 1) == 10 / 100 + 100 / 10


def test_a_level_without_a_rate_is_as_fast_as_the_one_before():
    first, second, third = LIMITS.caches
    assert replace(LIMITS, caches=(first, second, replace(third, read_bytes_per_s={}))).read_s(1110, 1) == pytest.approx(
        10 / 100 + 1100 / 50
    )
    assert replace(LIMITS, caches=(replace(first, read_bytes_per_s={}), second, third)).read_s(110, 1) == 100 / 50
    assert replace(LIMITS, memory_read_bytes_per_s={}).read_s(2110, 1) == pytest.approx(10 / 100 + 100 / 50 + 2000 / 10)


def test_cold_bytes_come_from_memory():
    assert LIMITS.read_s(20, 1, cold=True) == 20 / 4
    assert replace(LIMITS, memory_read_bytes_per_s={}).read_s(20, 1, cold=True) == 20 / 10
    assert LIMITS.nearest(1000, 100, "float32", 1, 50.0, cold=True) == (100 * 100 / 4 / 50.0, "bytes")


def test_nothing_is_said_of_bytes_that_were_not_measured():
    assert LIMITS.read_s(10, 3) is None
    assert Limits(threads=2).read_s(10, 2) is None


# --- floor and nearest limit ----------------------------------------------------------------------------


def test_the_floor_is_the_longer_of_the_two_by_the_margin():
    assert MARGIN == 2
    assert LIMITS.floor_s(1000, 10, "float32", 1) == 1000 / 100 / 2
    assert LIMITS.floor_s(1, 10, "float32", 1) == 10 / 100 / 2
    assert LIMITS.floor_s(1000, 0, "bfloat16", 2) == 1000 / 210 / 2
    assert LIMITS.floor_s(0, 0, "float32", 1) == 0


def test_there_is_no_floor_without_a_rate():
    assert LIMITS.floor_s(1000, 10, "float16", 1) is None
    assert LIMITS.floor_s(1000, 10, "float32", 4) is None
    assert Limits(threads=1).floor_s(1000, 10, "float32", 1) is None


def test_there_is_no_floor_when_others_used_the_machine():
    assert replace(LIMITS, foreign_share=MOST_FOREIGN).floor_s(1000, 10, "float32", 1) is not None
    busy = replace(LIMITS, foreign_share=MOST_FOREIGN + 0.01)
    assert busy.floor_s(1000, 10, "float32", 1) is None
    assert busy.nearest(1000, 10, "float32", 1, 20.0) is not None


def test_the_floor_of_arithmetic_alone_needs_no_bytes():
    only = Limits(threads=1, arithmetic=(Arithmetic(dtype="float32", product_flops_per_s={1: 100.0}),))
    assert only.floor_s(1000, 10**9, "float32", 1) == 5.0
    assert only.nearest(1000, 10**9, "float32", 1, 20.0) == (50.0, "arithmetic")


def test_the_nearest_limit_is_the_one_that_takes_longer():
    assert LIMITS.nearest(1000, 10, "float32", 1, 20.0) == (50.0, "arithmetic")
    assert LIMITS.nearest(1, 10, "float32", 1, 0.4) == (25.0, "bytes")
    assert LIMITS.nearest(1000, 10, "float32", 1, 5.0) == (200.0, "arithmetic")
    assert LIMITS.nearest(1000, 10, "float16", 1, 20.0) is None


def test_a_time_at_the_floor_has_the_margin_as_its_percentage():
    for flops, size in ((1000, 10), (1, 1110)):
        floor_s = LIMITS.floor_s(flops, size, "float32", 2)
        assert LIMITS.nearest(flops, size, "float32", 2, floor_s).percentage == pytest.approx(100 * MARGIN)


# --- the record -----------------------------------------------------------------------------------------


def test_limits_survive_being_written_down():
    assert Limits.from_json(json.loads(dumps(LIMITS.to_json()))) == LIMITS
    assert Limits.from_json(json.loads(dumps(Limits(threads=1).to_json()))) == Limits(threads=1)


def test_what_a_later_version_has_added_is_left_out():
    data = LIMITS.to_json() | {"clock_hz": 3e9}
    data["caches"][0]["ways"] = 12
    data["arithmetic"][0]["sparse_flops_per_s"] = {"1": 1.0}
    assert Limits.from_json(data) == LIMITS


@pytest.mark.parametrize("rates", [{1: 0.0}, {1: -1.0}, {1: math.inf}, {1: math.nan}, {0: 1.0}])
@pytest.mark.parametrize(
    "make",
    [
        lambda rates: Arithmetic(dtype="float32", peak_flops_per_s=rates),
        lambda rates: Arithmetic(dtype="float32", product_flops_per_s=rates),
        lambda rates: CacheLevel(name="L1", bytes=1, read_bytes_per_s=rates),
        lambda rates: Limits(threads=1, memory_read_bytes_per_s=rates),
        lambda rates: Limits(threads=1, memory_copy_bytes_per_s=rates),
    ],
)
def test_a_rate_is_a_positive_number(make, rates):
    with pytest.raises(ValueError, match="positive"):
        make(rates)


# --- caches ---------------------------------------------------------------------------------------------


def test_caches_are_read_as_linux_describes_them(tmp_path):
    def describe(cpu, index, level, kind, size, shared):
        folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(f"{text}\n")

    for cpu, core in ((0, "0,2"), (1, "1,3"), (2, "0,2")):
        describe(cpu, 0, 1, "Data", "48K", core)
        describe(cpu, 1, 1, "Instruction", "32K", core)
        describe(cpu, 2, 2, "Unified", "2M", core)
        describe(cpu, 3, 3, "Unified", "266240K", "0-3")
    (tmp_path / "cpu0" / "cache" / "index4").mkdir()
    assert caches.cache_levels({0, 1, 2}, tmp_path) == (
        CacheLevel(name="L1", bytes=48 * 1024, instances=2),
        CacheLevel(name="L2", bytes=2 * 2**20, instances=2),
        CacheLevel(name="L3", bytes=260 * 2**20, instances=1),
    )
    assert caches.cache_levels({0}, tmp_path / "nowhere") == ()


def test_a_typical_processor_has_an_instance_of_the_first_levels_for_each_core():
    assert [level.instances for level in caches.typical_levels({0, 1, 2})] == [3, 3, 1]


@pytest.mark.parametrize("threads", [1, 2, 20])
def test_a_working_set_lies_well_inside_its_level(threads):
    levels = (
        CacheLevel(name="L1", bytes=32 * 2**10, instances=threads),
        CacheLevel(name="L2", bytes=2**20, instances=threads),
        CacheLevel(name="L3", bytes=28 * 2**20, instances=1),
    )
    sets = caches.working_sets(levels, threads, 1024)
    assert list(sets) == (["L1", "L2"] if threads == 20 else ["L1", "L2", "L3"])  # 20 threads have 1.4 MiB of L3 each.
    inner = 0
    for level in levels:
        if level.name in sets:
            assert sets[level.name] % 1024 == 0
            assert inner < sets[level.name] <= level.capacity(threads) / threads / 2
            inner = 2 * level.capacity(threads) / threads


# --- kernels --------------------------------------------------------------------------------------------

AVAILABLE = [dtype for dtype in DTYPES if not multiply_add.unavailable_reason(dtype)]


def test_there_is_a_kernel_for_float32_and_float64():
    assert {"float32", "float64"} <= set(AVAILABLE)
    assert multiply_add.unavailable_reason("int8") == "there is no kernel for int8"


@pytest.mark.parametrize("dtype", AVAILABLE)
@pytest.mark.parametrize("chunks", [1, 3])
def test_multiply_adds_are_all_computed(dtype, chunks):
    assert multiply_add.multiply_add(dtype, chunks) == multiply_add.products(dtype, chunks) > 0


@pytest.mark.parametrize("dtype", AVAILABLE)
def test_multiply_adds_multiply_and_add(dtype):
    """A factor of 3 instead of 1, few enough times to be exact."""
    form = multiply_add.FORMS[dtype]
    three = {"bfloat16": np.int16(0x4040), "float16": np.uint16(0x4200)}.get(dtype, type(form.one)(3))
    each = multiply_add.products(dtype, 1) // form.steps
    assert multiply_add.multiply_add_chunks(2, 5, three) == 2 * 5 * 9 * each


@pytest.mark.skipif(not (vectors.is_x86() and vectors.fuses()), reason="reads the assembler of x86 with FMA")
@pytest.mark.parametrize("dtype", AVAILABLE)
def test_multiply_adds_are_compiled_to_an_instruction_on_whole_registers_for_each_sum(dtype):
    fresh = numba.njit(multiply_add.multiply_add_chunks.py_func)
    fresh(1, 1, multiply_add.FORMS[dtype].one)
    (assembler,) = fresh.inspect_asm().values()
    suffix = {"float64": "pd", "float32": "ps", "float16": "ph"}.get(dtype)
    name = rf"vfmadd\d+{suffix}" if suffix else "vdpbf16ps"
    register = {64: "%zmm", 32: "%ymm", 16: "%xmm"}[vectors.vector_bytes()]
    whole = re.findall(rf"{name}\s+{register}\d+, {register}\d+, {register}\d+", assembler)
    assert len(whole) >= multiply_add.sums()
    assert not re.search(r"vfmadd\d+s[sdh]", assembler)


def test_reading_multiplies_each_vector_with_the_next():
    lanes = vectors.vector_bytes() // 8
    numbers = microbenchmarks.ones(3 * read.BLOCK_BYTES)
    numbers[:] = np.random.default_rng(0).integers(-9, 9, numbers.size)
    first, second = numbers.reshape(-1, 2, lanes).transpose(1, 0, 2)
    assert read.read(numbers, 3) == (first * second).sum()
    assert read.read(numbers, 6) == 2 * (first * second).sum()
    block = read.BLOCK_BYTES // 16 // lanes
    assert read.read(numbers, 4) == (first * second).sum() + (first * second)[:block].sum()


# --- microbenchmarks ------------------------------------------------------------------------------------


def test_threads_run_calls_at_the_same_time():
    meeting = threading.Barrier(2)
    with Threads(2) as pair:
        seconds, results = pair.run([lambda: meeting.wait(10), lambda: meeting.wait(10)])
        assert sorted(results) == [0, 1]
        assert seconds > 0
        assert pair.run([lambda: "alone"]).results == ("alone",)


def test_a_microbenchmark_that_computes_something_else_is_an_error():
    one = microbenchmarks.Microbenchmark([lambda times: times, lambda times: times - 1], 1.0, lambda times: times)
    with Threads(2) as pair, pytest.raises(RuntimeError, match="computed 6, which should be 7"):
        one.seconds(pair, 7)


def test_arrays_to_read_are_aligned_and_full_of_ones():
    array = microbenchmarks.ones(4096)
    assert array.nbytes == 4096
    assert array.ctypes.data % 64 == 0
    assert (array == 1).all()


def test_reading_and_copying_count_every_byte():
    kernels = microbenchmarks.MemoryTraffic()
    arrays = [[microbenchmarks.ones(4096), microbenchmarks.ones(4096)] for _ in range(2)]
    with Threads(2) as pair:
        for one in {**kernels.read("memory", arrays), **kernels.copy("memory", arrays)}.values():
            assert one.work == 4 * 4096
            assert one.seconds(pair, 3) > 0


# --- products -------------------------------------------------------------------------------------------


class Clock:
    """Time that only products take: 2 n³ operations at the rate that is next in line."""

    def __init__(self, monkeypatch, rates):
        self.now, self.rates, self.sizes = 0.0, list(rates), []
        monkeypatch.setattr(base, "time", types.SimpleNamespace(perf_counter=lambda: self.now))

    def product_of(self, n):
        def product():
            self.sizes.append(n)
            self.now += 2 * n**3 / (self.rates.pop(0) if len(self.rates) > 1 else self.rates[0])

        return product

    def best(self, budget_s):
        return base.best_rate(self.product_of, lambda result: None, budget_s)


def test_the_best_product_counts_and_the_first_of_a_size_does_not(monkeypatch):
    clock = Clock(monkeypatch, [9e9, 1e9, 1e9, 1e9, 3e9, 1e9])
    assert clock.best(2.0) == pytest.approx(3e9)
    assert clock.sizes[:4] == [256, 256, 512, 512]


def test_a_slow_product_is_made_once_whatever_the_budget(monkeypatch):
    clock = Clock(monkeypatch, [1e6])
    assert clock.best(0.1) == pytest.approx(1e6)
    assert clock.sizes == [256, 256]


def test_sizes_grow_again_after_a_disturbance(monkeypatch):
    clock = Clock(monkeypatch, [1e9] * 4 + [300e9])
    assert clock.best(0.5) == pytest.approx(300e9)
    assert max(clock.sizes) == 2048  # 57 ms; that of 3072 takes 193 ms, and a quarter of the time is 125 ms.
    assert {1024, 1536, 2048} <= set(clock.sizes[-9:])


def test_numpy_multiplies_float32_and_float64_only():
    from harness.errors import Unavailable
    from harness.frameworks import adapter

    numpy = adapter("numpy")("cpu", 1)
    assert numpy.matmul_rate("float32", 0.01) > 0
    with pytest.raises(Unavailable, match="bfloat16"):
        numpy.matmul_rate("bfloat16")


# --- the whole ------------------------------------------------------------------------------------------


def test_limits_are_measured_in_workers_for_one_thread_and_for_all():
    limits = measure_limits(2)
    assert limits.threads == 2
    by_dtype = {one.dtype: one for one in limits.arithmetic}
    assert list(by_dtype) == list(DTYPES)
    for dtype in DTYPES:
        assert set(by_dtype[dtype].peak_flops_per_s) == ({1, 2} if dtype in AVAILABLE else set())
        assert dtype in AVAILABLE or any(f"peak of {dtype}" in warning for warning in limits.warnings)
    assert all(set(by_dtype[dtype].product_flops_per_s) == {1, 2} for dtype in ("float32", "float64"))
    assert set(limits.caches[0].read_bytes_per_s) == {1, 2}
    if reason := cache_lines.unavailable_reason():
        assert any(reason in warning for warning in limits.warnings)
    else:
        assert set(limits.memory_copy_bytes_per_s) == set(limits.memory_read_bytes_per_s) == {1, 2}
    assert 0 <= limits.foreign_share <= 1
    assert Limits.from_json(json.loads(dumps(limits.to_json()))) == limits
    assert limits.nearest(1e9, 1e6, "float32", 2, 1.0).percentage > 0


def test_workers_that_fail_leave_a_record_that_says_so():
    def launch(start, environment, timeout_s):
        return Worker(replace(start, session="harness.errors:Nothing"), environment, timeout_s)

    limits = measure_limits(1, launch)
    assert limits.flops_per_s("float32", 1) is None
    assert any("numpy with 1 threads" in warning and "Nothing" in warning for warning in limits.warnings)


def test_the_parent_imports_no_framework():
    program = "import sys, harness.measure.limits; assert not {'numba', 'torch'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
