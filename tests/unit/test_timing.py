"""Warming up and taking samples, on a clock that only the calls move."""

import gc
import types

import pytest

from harness.measure import timing


class Machine:
    """Calls that take as long as they are told; a clock that nothing else moves."""

    def __init__(self, *costs_s, wait_s=0.0, fresh_s=0.0, queued=False):
        self.now = 0.0
        self.fresh_s = fresh_s
        self.queued = queued
        self.checked = []
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

    queued = False

    def next_call(self):
        self.now += self.fresh_s
        self.log.append("other values")
        return self.call

    def wait(self, result):
        self.now += self.wait_s
        self.log.append(("wait", result))

    def finished(self, result):
        self.checked.append(result)

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
    assert timing.sample(m, 3) == pytest.approx((1 + 2 + 6 + 3 * 0.5) / 3)
    assert [entry for entry in m.log if entry != "other values"] == [
        "call",
        ("wait", 2),
        "call",
        ("wait", 5),
        "call",
        ("wait", 8),
    ]


def test_other_values_come_before_every_call_and_outside_the_clock(machine):
    m = machine(1.0, fresh_s=100.0)
    assert timing.sample(m, 3) == pytest.approx(1.0)
    assert [entry for entry in m.log if isinstance(entry, str)] == ["other values", "call"] * 3


def test_calls_in_a_queue_are_waited_for_once_at_the_end(machine):
    m = machine(1.0, wait_s=9.0, fresh_s=50.0, queued=True)
    assert timing.sample(m, 3) == pytest.approx((3 + 9) / 3)
    assert m.log == ["other values", "call", "call", "call", ("wait", 4)]


@pytest.mark.parametrize("queued, looks", [(False, 3), (True, 1)])
def test_what_calls_gave_is_looked_at_outside_the_clock(machine, queued, looks):
    m = machine(1.0, queued=queued)
    m.finished = lambda result: (m.checked.append(result), setattr(m, "now", m.now + 50))
    assert timing.sample(m, 3) == pytest.approx(1.0)
    assert len(m.checked) == looks and m.checked[-1] == m.log[-1][1]


def test_warming_up_goes_on_while_calls_become_faster(machine):
    # Every call is a twentieth faster than the last, down to a floor.
    m = machine(*[0.02 * 0.95**n for n in range(40)], 0.0025)
    found = timing.warm_up(m, sample_s=0.001, at_most_s=10.0)
    assert found.call_s == pytest.approx(0.0025) and found.steady
    assert found.calls == m.calls > 40


def test_warming_up_ends_after_two_windows_that_are_alike(machine):
    m = machine(0.02)
    found = timing.warm_up(m, sample_s=0.01, at_most_s=10.0)
    assert (found.calls, found.call_s, found.steady) == (2 * timing.WINDOW, pytest.approx(0.02), True)


def test_short_calls_are_warmed_up_in_samples_of_a_share_of_a_samples_length(machine):
    m = machine(1e-5)
    found = timing.warm_up(m, sample_s=0.01, at_most_s=10.0)
    # 1, 2, 4, … 128 calls are shorter than a sixth of 10 ms; then two windows of 256.
    assert found.calls == m.calls == 255 + 2 * timing.WINDOW * 256


def test_a_first_call_that_compiles_is_left_behind(machine):
    m = machine(3.0, 0.02)
    found = timing.warm_up(m, sample_s=0.01, at_most_s=10.0)
    assert found.call_s == pytest.approx(0.02) and found.steady


def test_a_slow_call_is_warmed_up_once_and_not_called_steady(machine):
    m = machine(5.0)
    found = timing.warm_up(m, sample_s=0.01, at_most_s=0.2)
    assert (found.calls, found.steady) == (1, False)


def test_warming_up_ends_in_time_though_calls_become_faster_and_faster(machine):
    m = machine(*[0.9**n for n in range(200)])
    timing.warm_up(m, sample_s=0.01, at_most_s=5.0)
    assert 5.0 <= m.now < 6.0


def test_warming_up_ends_where_other_values_take_far_longer_than_the_calls(machine):
    m = machine(1e-4, fresh_s=0.25)
    found = timing.warm_up(m, sample_s=0.01, at_most_s=0.2)
    # Those of 1, 2, 4, 8 calls took 3.75 s of the 4 s that there are; the sample after them is the last.
    assert found.calls == 31 and found.call_s == pytest.approx(1e-4)
    assert m.now == pytest.approx(31 * (0.25 + 1e-4))


@pytest.mark.parametrize(
    "call_s, sample_s, calls",
    [(0.001, 0.01, 10), (0.003, 0.01, 4), (0.01, 0.01, 1), (5.0, 0.01, 1), (1e-7, 0.01, 100_000)],
)
def test_calls_of_a_sample_last_at_least_its_length(call_s, sample_s, calls):
    assert timing.calls_per_sample(call_s, sample_s) == calls


def test_a_call_too_short_for_the_clock_is_repeated_a_bounded_number_of_times():
    assert 1000 < timing.calls_per_sample(0.0, 0.01) <= timing.MAX_CALLS
    assert timing.calls_per_sample(0.0, 1e9) == timing.MAX_CALLS


def turn(target, calls, samples, call_s=0.0):
    return timing.take_turn(target, timing.Pace(calls, call_s), samples)


@pytest.mark.parametrize("pace, turn_s, samples", [((10, 0.001), 0.06, 6), ((1, 2.0), 0.06, 1), ((1, 0.04), 0.06, 2)])
def test_samples_fill_a_turn(pace, turn_s, samples):
    assert timing.Pace(*pace).samples(turn_s) == samples


def test_a_turn_throws_its_first_sample_away(machine):
    m = machine(*[0.05] * 10, 0.001)  # The caches are cold for the first ten calls.
    assert turn(m, 10, 6) == pytest.approx((0.001,) * 6)
    assert m.calls == 70


def test_a_turn_of_one_sample_throws_one_away_too(machine):
    m = machine(0.16, 0.04)
    assert turn(m, 1, 1, 0.04) == pytest.approx((0.04,)) and m.calls == 2


def test_nothing_is_thrown_away_of_a_long_call(machine):
    m = machine(2.0)
    assert turn(m, 1, 1, 2.0) == (2.0,) and m.calls == 1


def test_samples_stand_in_the_order_they_were_taken(machine):
    m = machine(0.01, 0.01, 0.02, 0.03, 0.04)
    assert turn(m, 1, 4) == pytest.approx((0.01, 0.02, 0.03, 0.04))


def test_nothing_is_collected_while_the_clock_runs_and_it_is_again_after(machine):
    m = machine(0.01)
    turn(m, 2, 5)
    assert m.collecting == {False} and gc.isenabled()


def test_collecting_goes_on_after_a_call_that_raised(machine):
    m = machine(0.01)

    def fail():
        raise RuntimeError("no")

    m.call = fail
    with pytest.raises(RuntimeError):
        turn(m, 1, 3)
    assert gc.isenabled()
