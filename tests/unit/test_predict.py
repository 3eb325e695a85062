"""What a cell will cost, before it is begun; and how many turns it gets."""

import pytest

from harness.measure.plan import Effort
from harness.measure.predict import History
from harness.problem import Problem

EFFORT = Effort(rounds=10, min_rounds=3, budget_s=10.0)
GIB = 2**30


def posed(length, **fields):
    return Problem(**{"q_heads": 2, "q_len": length, "head_dim": 64, **fields})


def history(*seen, memory_bytes=4 * GIB):
    found = History(EFFORT, memory_bytes)
    for problem, call_s, rise_bytes in seen:
        found.add("slow", problem, call_s, rise_bytes)
    return found


def test_the_first_cell_is_always_begun():
    assert history().over_budget("slow", posed(10**6)) == ""


def test_time_grows_with_the_work():
    seen = history((posed(100), 0.02, 0))
    # A length ten times as long is a hundred times the work: 2 s a call, and a cell takes at least three rounds of it.
    said = seen.over_budget("slow", posed(1000))
    assert "2 s a call" in said and posed(100).name in said and "10 s" in said
    assert seen.over_budget("slow", posed(200)) == ""


def test_the_budget_counts_every_call_of_a_cell():
    # First call, warm-up, last verification, memory, three rounds: at least the rounds themselves and some more.
    assert history((posed(100), 10.0 / 3, 0)).over_budget("slow", posed(100))
    assert not history((posed(100), 10.0 / 20, 0)).over_budget("slow", posed(100))


def test_causal_problems_are_judged_as_if_nothing_were_skipped():
    seen = history((posed(100), 0.02, 0))
    assert seen.over_budget("slow", posed(1000, causal="top-left")) == seen.over_budget("slow", posed(1000)) != ""


def test_the_nearest_smaller_cell_is_believed():
    # At the smallest length overhead rules; the middle one shows the truth.
    seen = history((posed(10), 0.01, 0), (posed(500), 0.011, 0), (posed(20), 0.01, 0))
    assert seen.over_budget("slow", posed(1000)) == ""
    assert history((posed(10), 0.01, 0)).over_budget("slow", posed(1000)) != ""


def test_a_larger_cell_says_nothing_of_a_smaller_one():
    assert history((posed(101), 100.0, 100 * GIB)).over_budget("slow", posed(100)) == ""


def test_others_are_not_judged_by_it():
    assert history((posed(100), 5.0, 0)).over_budget("quick", posed(1000)) == ""


def test_a_score_matrix_that_is_kept_grows_with_the_square():
    matrix = 4 * posed(1000).score_elements
    seen = history((posed(1000), 1e-6, matrix))
    said = seen.over_budget("slow", posed(30_000))
    assert "GiB" in said and posed(1000).name in said and "4 GiB" in said
    assert f"{900 * matrix / GIB:.3g} GiB" in said
    assert seen.over_budget("slow", posed(20_000)) == ""


def test_what_keeps_no_score_matrix_grows_with_its_inputs():
    inputs = posed(1000).bytes
    seen = history((posed(1000), 1e-9, inputs))
    assert seen.over_budget("slow", posed(30_000)) == ""
    assert seen.over_budget("slow", posed(30_000, q_heads=8000)) != ""


def test_without_a_limit_memory_excuses_nobody():
    seen = history((posed(1000), 1e-9, 4 * posed(1000).score_elements), memory_bytes=0)
    assert seen.over_budget("slow", posed(30_000)) == ""


def test_problems_without_work_predict_nothing():
    assert history((posed(0), 1e-3, 10)).over_budget("slow", posed(1000)) == ""
    assert history((posed(100), 1e-3, 10)).over_budget("slow", posed(0)) == ""


@pytest.mark.parametrize("call_s", [1e-6, 0.06, 0.2, 0.4, 100.0])
def test_a_cell_has_as_many_turns_as_it_was_given_rounds(call_s):
    effort = Effort(processes=1, rounds=10, min_rounds=3, turn_s=0.06, cell_s=1.5)
    turns = [number for number in range(effort.rounds) if effort.takes_part(call_s, number)]
    assert len(turns) == effort.rounds_for(call_s)
    gaps = [after - before for before, after in zip([-1, *turns], [*turns, effort.rounds], strict=True)]
    assert max(gaps) <= -(-effort.rounds // len(turns)) + 1


@pytest.mark.parametrize("call_s, rounds", [(1e-6, 10), (0.15, 10), (0.3, 5), (0.5, 3), (60.0, 3)])
def test_a_slow_call_gets_fewer_rounds_but_never_fewer_than_the_least(call_s, rounds):
    assert Effort(processes=1, rounds=10, min_rounds=3, turn_s=0.06, cell_s=1.5).rounds_for(call_s) == rounds


@pytest.mark.parametrize("call_s, processes, rounds", [(1e-6, 5, 4), (0.2, 5, 2), (0.5, 5, 1), (0.51, 1, 3), (60.0, 1, 3)])
def test_a_slow_call_is_measured_by_one_process(call_s, processes, rounds):
    effort = Effort(processes=5, min_processes=3, rounds=4, min_rounds=3, turn_s=0.06, cell_s=1.5)
    assert (effort.processes_for(call_s), effort.rounds_for(call_s)) == (processes, rounds)


@pytest.mark.parametrize(
    "field",
    [
        "processes",
        "min_processes",
        "precision",
        "rounds",
        "min_rounds",
        "turn_s",
        "sample_s",
        "warmup_s",
        "cell_s",
        "budget_s",
    ],
)
@pytest.mark.parametrize("value", [0, -1, "1", True, None])
def test_effort_is_positive(field, value):
    with pytest.raises(ValueError, match=f"{field}.*above zero"):
        Effort(**{field: value})


def test_effort_is_a_number():
    with pytest.raises(ValueError, match=r"budget_s.*nan"):
        Effort(budget_s=float("nan"))
