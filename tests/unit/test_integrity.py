"""What measures is noticed to have been replaced, whichever way that is done."""

import random
import time

import pytest

from harness.measure import fresh_call, session, timing, values
from harness.measure.integrity import Integrity
from harness.plugins.bound_call import BoundCall


def other(*_, **__):
    return None


@pytest.mark.parametrize(
    "owner, name",
    [
        (time, "perf_counter"),
        (time, "monotonic"),
        (random, "Random"),
        (timing, "sample"),
        (timing, "time"),
        (values, "rolled"),
        (fresh_call.FreshCall, "next_call"),
        (session.MeasuringSession, "handlers"),
        (BoundCall, "outputs"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_replacement_is_named(monkeypatch, owner, name):
    integrity = Integrity()
    assert integrity.broken() == ""
    monkeypatch.setattr(owner, name, other)
    assert integrity.broken().endswith(f".{name}")


def test_the_code_inside_a_function_counts(monkeypatch):
    integrity = Integrity()
    monkeypatch.setattr(timing.sample, "__code__", other.__code__)
    assert integrity.broken() == "harness.measure.timing.sample"


def test_a_default_of_a_function_counts(monkeypatch):
    integrity = Integrity()
    monkeypatch.setattr(timing.calls_per_sample, "__defaults__", (1, 2))
    assert integrity.broken() == "harness.measure.timing.calls_per_sample"
