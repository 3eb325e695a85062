"""pytest-benchmark over the registry: `pytest tests/benchmarks -n 0 --impl NAME,…`.

A framework lives in its worker, so the clock is the worker's: it advances by the time that a sample says a call took, and
pytest-benchmark's rounds, statistics and comparisons work on that.
"""

import os
import random

import pytest

from harness.measure.answers import Answers, judged, rows_of
from harness.measure.messages import Prepare, Prepared, Reveal, Sample
from harness.measure.session import MeasuringSession
from harness.operators.attention.operator import ATTENTION
from harness.plugins.contender import contenders
from harness.plugins.registry import discover
from harness.plugins.session import environment, opening
from harness.records.accuracy import Accuracy
from harness.runs.presets import built_in
from harness.workers.process import Worker

TIMEOUT_S = 120
ROUNDS = 5

_REGISTRY = discover().of("attention")
_SMOKE = built_in("smoke")


class WorkerClock:
    """Seconds of calls so far, as the workers measured them."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


CLOCK = WorkerClock()


def pytest_generate_tests(metafunc):
    if "contender" not in metafunc.fixturenames:
        return
    names = _REGISTRY.select(metafunc.config.getoption("impl"))
    parameters = []
    for contender in contenders(_REGISTRY, names, "auto"):
        marks = [pytest.mark.xdist_group(f"benchmark-{contender.name}")]
        if contender.absent:
            marks.append(pytest.mark.skip(reason=f"{contender.name}: {contender.absent}"))
        parameters.append(pytest.param(contender, id=contender.name, marks=marks))
    metafunc.parametrize("contender", parameters)


@pytest.mark.benchmark(timer=CLOCK, group="smoke")
@pytest.mark.parametrize("problem", _SMOKE.problems[-1:], ids=lambda problem: problem.name)
def test_call(benchmark, contender, problem):
    unsupported = _REGISTRY.implementations[contender.name].supports_on(contender.device).unsupported_reasons(problem)
    if unsupported:
        pytest.skip("; ".join(unsupported))
    answers = Answers(ATTENTION, problem, 0, random.Random(0))
    answers.renew()
    effort, threads = _SMOKE.effort, len(os.sched_getaffinity(0))
    start = opening(contender, MeasuringSession, threads)
    with Worker(start, environment(contender, threads), TIMEOUT_S) as worker:
        ready = worker.ask(Prepare(problem, 0, effort.sample_s, effort.warmup_s), TIMEOUT_S)
        assert isinstance(ready, Prepared), ready
        found = judged(ATTENTION, worker.ask(Reveal(rows_of(answers.first)), TIMEOUT_S), answers.first)
        assert isinstance(found, Accuracy), found

        def one_sample():
            CLOCK.now_s += worker.ask(Sample(effort.sample_s, seed=0), TIMEOUT_S).samples_s[0]

        benchmark.extra_info["error_over_bound"] = found.error_over_bound
        benchmark.pedantic(one_sample, rounds=ROUNDS, iterations=1)
