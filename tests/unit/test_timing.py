"""Warming up and taking samples, on a clock that only the calls move."""

import gc
import types

import pytest

from harness.measure import timing


class Machine:
    """Calls that take as long as they are told; a clock that nothing else moves."""

    def __init__(self, *costs_s, wait_s=0.0):
        self.now = 0.0
        self.costs_s = list(costs_s)
        self.wait_s = wait_s
        self.log = []
        self.collecting = set()

    def perf_counter(self):
        return self.now

    def call(self):
        cost_s = self.costs_s.pop(0) if len(self.costs_s) > 1 else self.costs_s[0]
        self.now += cost_s
        self.log.append("call")
        self.collecting.add(gc.isenabled())
        return len(self.log)

    def wait(self, result):
        self.now += self.wait_s
        self.log.append(("wait", result))

    @property
    def calls(self):
        return self.log.count("call")


@pytest.fixture
def machine(monkeypatch):
    def make(*costs_s, **options):
        made = Machine(*costs_s, **options)
        monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=made.perf_counter))
        return made

    return make


def test_a_sample_is_the_mean_of_calls_that_were_each_waited_for(machine):
    m = machine(1.0, 2.0, 6.0, wait_s=0.5)
    assert timing.sample(m.call, m.wait, 3).call_s == pytest.approx((1 + 2 + 6 + 3 * 0.5) / 3)
    assert m.log == ["call", ("wait", 1), "call", ("wait", 3), "call", ("wait", 5)]


def test_calls_in_a_queue_are_waited_for_once_at_the_end(machine):
    m = machine(1.0, wait_s=9.0)
    assert timing.sample(m.call, m.wait, 3, queued=True).call_s == pytest.approx((3 + 9) / 3)
    assert m.log == ["call", "call", "call", ("wait", 3)]


def test_warming_up_goes_on_while_calls_become_faster(machine):
    # Every call is a tenth faster than the last, down to a floor.
    m = machine(*[0.02 * 0.9**n for n in range(10)], 0.005)
    found = timing.warm_up(m.call, m.wait, sample_s=0.001, at_most_s=10.0)
    assert found.call_s == pytest.approx(0.005)
    assert found.calls == m.calls > 10


def test_warming_up_ends_at_once_when_calls_are_steady(machine):
    m = machine(0.02)
    found = timing.warm_up(m.call, m.wait, sample_s=0.01, at_most_s=10.0)
    assert (found.calls, found.call_s) == (2, pytest.approx(0.02))


def test_short_calls_are_warmed_up_in_batches_of_at_least_a_sample(machine):
    m = machine(1e-5)
    found = timing.warm_up(m.call, m.wait, sample_s=0.01, at_most_s=10.0)
    # 1, 2, 4, … 1024: the last batch is the first that lasts 10 ms, and no faster than the one before it.
    assert found.calls == m.calls == 2047


def test_a_first_call_that_compiles_is_left_behind(machine):
    m = machine(3.0, 0.02)
    found = timing.warm_up(m.call, m.wait, sample_s=0.01, at_most_s=10.0)
    assert found.call_s == pytest.approx(0.02)


def test_a_slow_call_is_warmed_up_once(machine):
    m = machine(5.0)
    assert timing.warm_up(m.call, m.wait, sample_s=0.01, at_most_s=0.2).calls == 1


def test_warming_up_ends_in_time_though_calls_become_faster_and_faster(machine):
    m = machine(*[0.9**n for n in range(200)])
    timing.warm_up(m.call, m.wait, sample_s=0.01, at_most_s=5.0)
    assert 5.0 <= m.now < 6.0


@pytest.mark.parametrize(
    "call_s, sample_s, calls",
    [(0.001, 0.01, 10), (0.003, 0.01, 4), (0.01, 0.01, 1), (5.0, 0.01, 1), (1e-7, 0.01, 100_000)],
)
def test_calls_of_a_sample_last_at_least_its_length(call_s, sample_s, calls):
    assert timing.calls_per_sample(call_s, sample_s) == calls


def test_a_call_too_short_for_the_clock_is_repeated_a_bounded_number_of_times():
    assert 1000 < timing.calls_per_sample(0.0, 0.01) <= timing.MAX_CALLS
    assert timing.calls_per_sample(0.0, 1e9) == timing.MAX_CALLS


def test_a_turn_throws_its_first_sample_away_and_fills_its_time(machine):
    m = machine(*[0.05] * 10, 0.001)  # The caches are cold for the first ten calls.
    turn = timing.take_turn(m.call, m.wait, timing.Pace(10, 0.001), 0.06)
    assert turn.result == m.log[-1][1]  # Of the last call.
    assert turn.samples_s == pytest.approx((0.001,) * 6)
    assert m.calls == 70


def test_a_turn_of_one_long_call_is_that_call(machine):
    m = machine(2.0)
    turn = timing.take_turn(m.call, m.wait, timing.Pace(1, 2.0), 0.06)
    assert turn == timing.Turn((2.0,), result=1)
    assert m.calls == 1


def test_samples_stand_in_the_order_they_were_taken(machine):
    m = machine(0.01, 0.01, 0.02, 0.03, 0.04)
    turn = timing.take_turn(m.call, m.wait, timing.Pace(1, 0.01), 0.04)
    assert turn.samples_s == pytest.approx((0.01, 0.02, 0.03, 0.04))


def test_nothing_is_collected_while_the_clock_runs_and_it_is_again_after(machine):
    m = machine(0.01)
    timing.take_turn(m.call, m.wait, timing.Pace(2, 0.01), 0.1)
    assert m.collecting == {False} and gc.isenabled()


def test_collecting_goes_on_after_a_call_that_raised(machine):
    m = machine(0.01)

    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        timing.take_turn(fail, m.wait, timing.Pace(1, 0.01), 0.1)
    assert gc.isenabled()
