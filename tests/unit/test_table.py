"""results.csv: the promised columns, and numbers that follow from the records."""

import io
import math

import pandas as pd
import pytest

from harness.analysis.table import results, samples
from harness.errors import Status
from harness.problem import Problem
from harness.records.accuracy import Accuracy
from tests.unit.factories import OTHER_PROBLEM, PROBLEM, absent, measured, memory, run

# A promise to users: more columns may come after these, none changes its place or its meaning.
PROMISED = [
    "implementation", "framework", "device", "problem", "batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim",
    "v_head_dim", "dtype", "causal", "mask", "direction", "status", "reason", "median_s", "ci_low_s", "ci_high_s",
    "min_s", "samples", "calls_per_sample", "build_s", "first_call_s", "tflops", "percent_of_peak",
    "speedup_vs_baseline", "peak_memory_bytes", "workspace_bytes", "memory_method", "max_abs_error",
    "error_over_bound", "warnings",
]  # fmt: skip

STEADY = [2e-3] * 8
RATES = {"cpu float32": 5e10, "cuda float32": 1e15, "cpu float16": 1e15}


def table(cells, problems=(PROBLEM,), baseline="", rates=RATES):
    return results(run(cells, problems, baseline, matmul_flops_per_s=rates))


def test_promised_columns_come_first_and_in_order():
    assert list(table([measured("a", *STEADY)]).columns)[: len(PROMISED)] == PROMISED


@pytest.mark.parametrize("cells", [[], [absent("a")], [measured("a", *STEADY), absent("b")]])
def test_columns_do_not_depend_on_the_cells(cells):
    assert list(table(cells).columns) == list(table([measured("a", *STEADY)]).columns)
    assert len(table(cells)) == len(cells)


def test_a_measured_row():
    samples_s = [4e-3, 0.5e-3, 1e-3, 1.5e-3, 2e-3, 3e-3, 2e-3, 6e-3, 5e-3]
    cell = measured("a", *samples_s, rounds=[0, 1, 1, 1, 2, 3, 4, 5, 5], memory=memory(12345))
    row = table([cell]).iloc[0]
    assert (row.implementation, row.framework, row.device, row.status, row.reason) == ("a", "numpy", "cpu", "ok", "")
    assert row.problem == PROBLEM.name
    shape = ("batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim")
    assert [row[name] for name in shape] == [2, 4, 2, 8, 16, 32, 32]
    assert (row["dtype"], row.causal, row["mask"], row.direction) == ("float32", "bottom-right", "padding", "forward")
    assert row.median_s == pytest.approx(2e-3) and row.min_s == 0.5e-3
    assert row.ci_low_s < row.median_s < row.ci_high_s
    assert (row.processes, row.stopped, row.notes) == (1, "enough", "noisy")
    assert (row.samples, row.rounds, row.calls_per_sample) == (9, 6, 5)
    assert (row.build_s, row.first_call_s) == (0.25, 0.125)
    assert (row.peak_memory_bytes, row.workspace_bytes, row.memory_method) == (10 * 2**20, 12345, "VmHWM after clear_refs")
    assert row.memory_resolution_bytes == 2**19  # Of a record that does not say.
    assert (row.max_abs_error, row.error_over_bound, row.elements_checked) == (3e-7, 0.25, 2048)
    assert row.threads == 2


def test_rates_follow_from_the_visible_pairs():
    row = table([measured("a", *STEADY)]).iloc[0]
    # Bottom-right, 8 queries on 16 keys: query i sees 9 + i keys; a multiplication and an addition for 64 columns.
    flops = 2 * 4 * sum(9 + i for i in range(8)) * 2 * 64
    assert row.flops == flops
    assert row.tflops == pytest.approx(flops / 2e-3 / 1e12)
    assert row.percent_of_peak == pytest.approx(100 * flops / 2e-3 / 5e10)


@pytest.mark.parametrize("rates", [{}, {"cuda float32": 1e12}, {"cpu float16": 1e12}])
def test_a_peak_of_another_device_or_dtype_is_none(rates):
    assert math.isnan(pd.to_numeric(table([measured("a", *STEADY)], rates=rates).percent_of_peak).iloc[0])


def test_a_row_without_a_time():
    wrong = Accuracy(0.5, 41.0, 2048, "o[0, 0, 1, 2]", 0.0122)
    row = table([measured("b", *STEADY), absent("a", Status.INCORRECT, "o[0, 0, 1, 2] is 0.5 off", accuracy=wrong)]).iloc[1]
    assert (row.status, row.reason) == ("incorrect", "o[0, 0, 1, 2] is 0.5 off")
    assert (row.max_abs_error, row.error_over_bound) == (0.5, 41.0)
    empty = [
        "median_s",
        "ci_low_s",
        "ci_high_s",
        "min_s",
        "samples",
        "calls_per_sample",
        "build_s",
        "first_call_s",
        "tflops",
    ]
    empty += ["percent_of_peak", "speedup_vs_baseline", "peak_memory_bytes", "workspace_bytes", "memory_method"]
    assert row[empty].isna().all()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_every_status_has_its_row_and_reason(status):
    row = table([absent("a", status, "because")]).iloc[0]
    assert (row.status, row.reason) == (str(status), "because")


def test_speedup_time_and_order_follow_from_the_same_rounds():
    slow = measured("numpy", 8e-3, 10e-3, 12e-3, 14e-3)
    fast = measured("fast", 4e-3, 2e-3, 3e-3, 1e-3)
    rows = table([slow, fast], baseline="numpy").set_index("implementation")
    assert rows.speedup_vs_baseline["fast"] == pytest.approx(rows.median_s["numpy"] / rows.median_s["fast"])
    assert rows.speedup_vs_baseline["fast"] == pytest.approx(rows.times_fastest["numpy"])
    assert rows.speedup_low["fast"] < rows.speedup_vs_baseline["fast"] < rows.speedup_high["fast"]
    assert rows.speedup_vs_baseline["numpy"] == 1.0
    assert set(rows.baseline) == {"numpy"}


@pytest.mark.parametrize("baseline", ["", "numpy"])
def test_without_a_measured_baseline_there_is_no_speedup(baseline):
    rows = table([measured("fast", *STEADY), absent("numpy")], baseline=baseline)
    assert rows.speedup_vs_baseline.isna().all() and rows.baseline.isna().all()


def test_a_baseline_counts_on_its_own_problem_only():
    cells = [
        measured("numpy", *[8e-3] * 6),
        measured("fast", *[2e-3] * 6),
        measured("fast", *[2e-3] * 6, problem=OTHER_PROBLEM),
    ]
    rows = table(cells, problems=(PROBLEM, OTHER_PROBLEM), baseline="numpy")
    assert rows.speedup_vs_baseline.fillna(0).tolist() == pytest.approx([1.0, 4.0, 0.0])


def test_every_time_is_set_against_the_fastest_of_its_problem():
    pace = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    cells = [
        measured("slow", *(3e-3 * p for p in pace)),
        measured("fast", *(1e-3 * p for p in pace)),
        measured("slow", *(5e-3 * p for p in pace), problem=OTHER_PROBLEM),
        absent("fast", problem=OTHER_PROBLEM),
    ]
    rows = table(cells, problems=(PROBLEM, OTHER_PROBLEM))
    assert rows.times_fastest.fillna(0).tolist() == pytest.approx([3.0, 1.0, 1.0, 0.0])
    assert rows.times_fastest_low[0] == pytest.approx(3.0) == rows.times_fastest_high[0]


def test_problems_stand_in_the_order_of_the_plan():
    small, large = Problem(q_len=4, head_dim=4), Problem(q_len=1024, head_dim=64)
    cells = [absent("a", problem=small), absent("b", problem=small), absent("a", problem=large), absent("b", problem=large)]
    found = table(cells, problems=(large, small))
    assert found.problem.tolist() == [large.name, large.name, small.name, small.name]
    assert found.implementation.tolist() == ["a", "b", "a", "b"]


def test_warnings_of_the_run_and_of_the_statistics_are_joined():
    (said,) = table([measured("a", 1e-3, 2e-3, warnings=("blocks: one by one",))]).warnings
    assert said.startswith("blocks: one by one; noisy: ")
    assert table([measured("a", *STEADY)]).warnings.tolist() == [""]


def test_the_file_reads_back_as_it_was():
    problem = Problem(q_len=8, head_dim=4, window=(3, -1), softcap=2.0, bias="normal-qk")
    cells = [
        measured("a", *STEADY, problem=problem, memory=memory()),
        absent("b", reason='no "window", no bias', problem=problem),
    ]
    again = pd.read_csv(io.StringIO(table(cells, problems=(problem,)).to_csv(index=False)))
    assert list(again.columns)[: len(PROMISED)] == PROMISED
    first, second = again.iloc[0], again.iloc[1]
    assert first.median_s == pytest.approx(2e-3)
    assert (first.workspace_bytes, first.window, first.softcap) == (4096, "3,-1", 2.0)
    assert second.reason == 'no "window", no bias' and math.isnan(second.median_s)
    assert pd.isna(first.causal) and first.bias == "normal-qk"


def test_every_sample_is_kept_in_order():
    cells = [measured("a", 3.0, 1.0, 2.0, rounds=[0, 0, 1]), absent("b"), measured("c", 5.0, rounds=[4])]
    found = samples(cells)
    head = ["implementation", "problem", "round", "sample_s"]
    assert found[head].values.tolist() == [
        ["a", PROBLEM.name, 0, 3.0],
        ["a", PROBLEM.name, 0, 1.0],
        ["a", PROBLEM.name, 1, 2.0],
        ["c", PROBLEM.name, 4, 5.0],
    ]
    assert list(found.columns) == [*head, "process", "order", "turn_start_s", "disturbed"]
