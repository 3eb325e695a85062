"""What a person reads: numbers with their units, who is fastest, what is missing and why."""

import io
import math

import pytest
from rich.console import Console

from harness.analysis.estimates import Interval
from harness.analysis.table import results
from harness.conformance import lines as verdicts
from harness.conformance.cases import Case
from harness.conformance.tally import Tally
from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.operators.diagnosis.cause import Cause
from harness.problem import Problem
from harness.records.accuracy import Accuracy
from harness.records.cell import Memory
from harness.report import format
from harness.report.markdown import report
from harness.report.terminal import print_results
from tests.unit.factories import OTHER_PROBLEM, PROBLEM, absent, measured, memory, run

MACHINE = {
    "processor": "Some CPU 9000",
    "instruction_sets": ["AVX2", "AVX-512"],
    "usable_cpus": 4,
    "threads": 2,
    "virtual_machine": True,
    "memory_bytes": 64 * 2**30,
    "system": "Linux 6.1",
    "python": "3.11.7",
    "gpus": ["Some GPU"],
    "matmul_flops_per_s": {"cpu float32": 1.5e11},
    "versions": {"numpy": "2.1.0", "torch": "2.6"},
    "date": "2026-01-02",
    "commit": "abc1234",
}


def made(cells, problems=(PROBLEM,), baseline="", machine=MACHINE):
    some = run(cells, problems, baseline, **machine)
    return some, results(some)


def written(cells, **options):
    return report(*made(cells, **options))


def printed(cells, width=200, **options):
    said = io.StringIO()
    print_results(Console(file=said, width=width), *made(cells, **options))
    return said.getvalue()


# --- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, text",
    [
        (1.0, "1 s"),
        (59.94, "59.9 s"),
        (123.4, "123 s"),
        (4567.0, "4567 s"),
        (0.00123, "1.23 ms"),
        (0.0999, "99.9 ms"),
        (0.12345, "123 ms"),
        (4.56e-6, "4.56 µs"),
        (7.8e-8, "78 ns"),
        (0.00099996, "1 ms"),
        (math.nan, ""),
        (None, ""),
    ],
)
def test_seconds(value, text):
    assert format.seconds(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0 B"),
        (512, "512 B"),
        (1024, "1 KiB"),
        (12.5 * 2**20, "12.5 MiB"),
        (300 * 2**20, "300 MiB"),
        (2**31, "2 GiB"),
        (2**20 - 1, "1 MiB"),
        (math.nan, ""),
        (None, ""),
    ],
)
def test_size(value, text):
    assert format.size(value) == text


@pytest.mark.parametrize(
    "value, resolution, text",
    [
        (3.234 * 2**20, 2**18, "3.2 MiB"),
        (600 * 2**10, 2**19, "600 KiB"),
        (33.27 * 2**20, 2**19, "33.3 MiB"),
        (1.5234 * 2**30, 2**19, "1.52 GiB"),  # Three digits at most, however much is known.
        (12.7 * 2**20, 12 * 2**20, "10 MiB"),
        (292544, 1464, "286 KiB"),
        (2**19, 2**18, "500 KiB"),
        (2**18, 2**18, "<512 KiB"),  # Perhaps nothing, perhaps twice as much.
        (2**12, 2**18, "<512 KiB"),
        (0, 2**18, "<256 KiB"),
        (2**20, math.nan, "1 MiB"),
        (math.nan, math.nan, ""),
    ],
)
def test_a_size_has_no_more_digits_than_are_known(value, resolution, text):
    assert format.size(value, resolution) == text


def test_the_table_says_a_workspace_to_its_resolution():
    coarse = Memory(2**20, 5_000, "some mark", 2**18)
    exact = Memory(2**20, 5_000, "some trace", 100)
    rows = [measured(name, 1e-3, memory=found) for name, found in (("coarse", coarse), ("exact", exact))]
    lines = {line.split()[0]: line for line in printed(rows).splitlines() if line.strip()}
    assert "  <512 KiB  " in lines["coarse"] and "  4.88 KiB  " in lines["exact"]


@pytest.mark.parametrize(
    "low, high, text", [(0.98, 1.02, "±2 %"), (0.996, 1.004, "±0.4 %"), (1.0, 1.0, "±0.1 %"), (0.5, 1.5, "±50 %")]
)
def test_spread_is_half_the_interval(low, high, text):
    assert format.plus_minus(Interval(1.0, low, high).half_width) == text


def test_ratios_and_errors():
    assert [format.ratio(x) for x in (3.4, 0.5, 123.4, math.nan)] == ["3.4×", "0.5×", "123×", ""]
    assert format.ratio(2.0, 1.9, 2.1) == "2× ±5 %" and format.ratio(1.0, 1.0, 1.0) == "1×"
    assert [format.error(x) for x in (0.25, 0.0004, 0.0, 41.0, math.nan)] == ["0.250", "<0.001", "<0.001", "41.000", ""]


# --- the fastest -------------------------------------------------------------------------------------

PACE = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.0, 1.01]


def paced(name, seconds, **options):
    return measured(name, *(seconds * p for p in PACE), **options)


def winner(*cells):
    return format.winner(made(cells)[1])


def test_the_winner_and_by_how_much():
    said = winner(paced("slow", 9e-3), paced("fast", 2e-3), paced("middle", 6e-3))
    assert said == "fast, 2 ms; 3 times as fast as middle"


def test_a_lead_that_is_not_the_same_in_every_round_is_a_tie():
    there = measured("there", *[2e-3, 1e-3] * 4)
    back = measured("back", *[1e-3, 2.1e-3] * 4)
    said = winner(there, back, paced("slow", 9e-3))
    assert "there, 1.41 ms" in said and "not told apart from back" in said and "slow" not in said


def test_a_small_lead_in_every_round_tells_apart_what_drifts_together():
    drift = [1.0, 1.3, 1.6, 2.0, 2.4, 2.8, 3.2]
    said = winner(measured("a", *(1e-3 * d for d in drift)), measured("b", *(1.1e-3 * d for d in drift)))
    assert said == "a, 2 ms; 1.1 times as fast as b"


def test_one_alone_and_nobody():
    assert winner(paced("only", 2e-3), absent("other")) == "only, 2 ms, alone"
    assert "nothing could be measured" in winner(absent("other"))


def test_rows_are_fastest_first_and_the_unmeasured_last():
    wrong = Accuracy(0.5, 41.0, 2048)
    cells = [
        absent("wrong", Status.INCORRECT, "0.5 off", accuracy=wrong),
        paced("slow", 9e-3),
        paced("fast", 2e-3, warnings=("odd: it is",)),
    ]
    rows = format.display_rows(made(cells)[1])
    assert [row[0] for row in rows] == ["fast", "slow", "wrong"]
    assert {len(row) for row in rows} == {len(format.HEADINGS)}
    assert [row[1] for row in rows] == ["2 ms", "9 ms", "incorrect"]
    assert [row[-1] for row in rows] == ["odd", "", ""]
    assert rows[2][-2] == "41.000"


# --- the whole report --------------------------------------------------------------------------------


def test_the_report_says_who_is_fastest_what_is_missing_and_on_what_machine():
    cells = [
        paced("numpy", 8e-3, memory=memory(3 * 2**20)),
        paced("fast", 2e-3, memory=memory(0), ratio=0.125),
        absent("torch", Status.UNAVAILABLE, "torch is not installed; install it with pip"),
        paced("numpy", 1e-3, problem=OTHER_PROBLEM),
        absent("fast", Status.CRASHED, "signal 11", problem=OTHER_PROBLEM),
        absent("torch", Status.UNAVAILABLE, "torch is not installed; install it with pip", problem=OTHER_PROBLEM),
    ]
    text = written(cells, problems=(PROBLEM, OTHER_PROBLEM), baseline="numpy")
    assert f"**{PROBLEM.name}**: fast, 2 ms; 4 times as fast as numpy" in text
    assert f"**{OTHER_PROBLEM.name}**: numpy, 1 ms, alone" in text
    row = next(line for line in text.splitlines() if line.startswith("| fast"))
    cells_of_row = [cell.strip() for cell in row.split("|")]
    assert {"2 ms", "4× ±0.1 %", "<512 KiB", "0.125"} <= set(cells_of_row)
    assert "3 MiB" in text
    assert "against numpy" in text
    # One line for a reason that is the same everywhere, and where it is not, where.
    assert text.count("torch is not installed") == 1
    assert f"- fast on {OTHER_PROBLEM.name}: **crashed**: signal 11" in text
    for words in (
        "Some CPU 9000",
        "AVX-512",
        "virtual machine",
        "64 GiB",
        "Some GPU",
        "0.15 TFLOP/s",
        "torch 2.6",
        "abc1234",
    ):
        assert words in text


def test_every_status_is_reported_with_its_reason():
    absences = [absent(f"impl-{status}", status, f"because of {status}") for status in Status if status is not Status.OK]
    text = written([paced("fine", 1e-3), *absences])
    for cell in absences:
        assert f"- {cell.implementation}: **{cell.status}**: {cell.reason}" in text


def test_warnings_are_noted_where_a_star_stands():
    text = written([paced("a", 1e-3, warnings=("its threads kept spinning",)), paced("b", 2e-3)])
    assert f"- a on {PROBLEM.name}: its threads kept spinning" in text
    assert "### Notes" not in written([paced("b", 2e-3)])


def test_when_nothing_is_missing_the_report_says_so():
    assert "Everything was measured" in written([paced("a", 1e-3)])


NEVER_MEASURED = [absent("a"), absent("b", Status.ERROR, "it raised")]


@pytest.mark.parametrize(
    "options",
    [
        {"cells": [paced("a", 1e-3), paced("b", 2e-3)], "machine": {}},
        {"cells": [paced("a", 1e-3), absent("b")], "machine": {}},
        {"cells": NEVER_MEASURED},
        {"cells": NEVER_MEASURED, "machine": {}},
        {"cells": []},
        {"cells": [paced("a", 1e-3)], "baseline": "a"},
        {"cells": [measured("a", 1e-3, rounds=[0]), measured("b", 1e-3, rounds=[1])], "baseline": "a"},
        {"cells": [measured("a", 1e-3)], "problems": (PROBLEM, Problem(q_len=0, head_dim=4))},
    ],
    ids=[
        "no-peak",
        "no-peak-one-absent",
        "nothing-measured",
        "nothing-at-all",
        "no-cells",
        "alone",
        "no-common-round",
        "empty",
    ],
)
def test_a_run_that_lacks_something_still_has_its_report(options):
    for machine in ({}, MACHINE):
        assert PROBLEM.name in written(**{"machine": machine, **options})
    assert PROBLEM.name in printed(**options)


def test_the_terminal_says_the_same():
    said = printed([paced("fast", 2e-3), paced("slow", 6e-3), absent("torch", Status.UNAVAILABLE, "not installed")])
    assert "fast, 2 ms; 3 times as fast as slow" in said
    assert "torch: unavailable: not installed" in said
    for heading in filter(None, format.HEADINGS):
        assert heading in said


def test_a_narrow_terminal_leaves_columns_out_and_breaks_no_line():
    cells = [paced("torch-sdpa-flash", 2e-3, memory=memory()), paced("numpy", 6e-3, memory=memory())]
    lines = printed(cells, width=80, baseline="numpy").splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.lstrip().startswith("torch-sdpa-flash ")]
    assert "2 ms" in row and "1×" in row and "<1 MiB" in row
    assert "TFLOP/s" not in "".join(lines)


def test_many_notes_in_a_narrow_terminal_take_no_room_from_the_numbers():
    name, notes = "tensorflow-of-a-long-name", ("noisy", "warming", "disturbed")
    cell = paced(name, 28.8e-3, memory=memory(), warnings=tuple(f"{note}: why" for note in notes))
    said = printed([cell, paced("numpy", 6e-3, memory=memory())], width=80)
    (row,) = [line for line in said.splitlines() if line.startswith(name)]
    for number in ("28.8 ms", "4.8×", "<1 MiB"):
        assert number in row
    assert all(note in said for note in notes) and max(map(len, said.splitlines())) <= 80 and "…" not in said


# --- what `check` prints -----------------------------------------------------------------------------

CASE = Case("causal", "some", PROBLEM)
REPEAT = "python -m harness check --impl a --case causal/some"
FOUND = Accuracy(1e-6, 0.5, 64, "o[0, 0, 1, 2]", 2e-6, 1e-6)


def test_a_passed_case_shows_error_bound_and_ratio():
    said = verdicts.line("a", Verdict(CASE, Status.OK, accuracy=FOUND), REPEAT)
    assert said.startswith("ok ") and "causal/some" in said
    assert "error 1.00e-06, bound 2.00e-06, ratio 0.500" in said


def test_a_failed_case_says_how_to_see_it_again():
    said = verdicts.line("a", Verdict(CASE, Status.INCORRECT, "o[0, 0, 1, 2] is 0.4 from the oracle"), REPEAT)
    assert "o[0, 0, 1, 2] is 0.4 from the oracle" in said and PROBLEM.name in said and REPEAT in said


def test_a_summary_counts_and_names_the_worst():
    tally = Tally("a")
    tally.add(Verdict(CASE, Status.OK, accuracy=FOUND))
    tally.add(Verdict(CASE, Status.UNSUPPORTED, "no softcap"))
    assert verdicts.summary(tally) == "a: 1 passed, 1 unsupported; the worst error is 0.5 of its bound"
    assert verdicts.summary(Tally("a", "torch is not installed")) == "a: unavailable: torch is not installed"
    assert verdicts.summary(Tally("a", "OSError", broken=True)) == "a: error: OSError"


def test_the_whole_is_a_line_a_chapter_and_each_kind_with_its_worst_case():
    tally = Tally("a")
    for ratio, text in ((7.0, "Wrong only in head 1 of 2."), (70.0, "Wrong only in head 3 of 4.")):
        found = Accuracy(1e-3, ratio, 64, "o[0, 0, 1, 2]", 2e-6, 1e-3)
        cause = Cause(("wrong only in some heads",), text)
        tally.add(Verdict(CASE, Status.INCORRECT, f"{ratio} times too far", found, cause))
    said = list(verdicts.whole(tally, lambda verdict: REPEAT))
    assert said[0].startswith("causal") and "FAILED" in said[0] and "0 passed, 2 incorrect" in said[0]
    assert said[1] == "failed, 2 cases: wrong only in some heads"
    assert [part.strip() for part in said[2:]] == [
        f"worst: causal/some, {PROBLEM.name}: 70.0 times too far",
        "Wrong only in head 3 of 4.",
        f"repeat: {REPEAT}",
    ]


def test_a_row_has_the_cause_and_its_kind():
    failed = Verdict(CASE, Status.INCORRECT, "far", FOUND, Cause(("a kind", "another"), "A sentence."))
    row = verdicts.row("a", "cpu", failed, "another")
    assert (row["cause"], row["kind"], row["status"]) == ("A sentence.", "another", "incorrect")
    row = verdicts.row("a", "cpu", Verdict(CASE, Status.OK, accuracy=FOUND), "")
    assert (row["cause"], row["kind"]) == ("", "")
