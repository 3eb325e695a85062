"""The suite over the registry: every implementation with every case it supports, each in its worker process."""

import contextlib
import os

import pytest

from harness.conformance.cases import select
from harness.frameworks import adapter
from harness.frameworks.base import SIMULATOR, cuda_devices
from harness.measure.checker import Checker
from harness.plan import contenders
from harness.registry import discover

TIMEOUT_S = 300

_REGISTRY = discover()


def _simulated(name):
    """CUDA kernels written in Numba are examined in its simulator where there is no GPU."""
    return _REGISTRY.implementations[name].framework == "numba-cuda" and not cuda_devices()


@contextlib.contextmanager
def _surroundings(name):
    """The environment in which an implementation is looked at and its worker started."""
    with pytest.MonkeyPatch.context() as patch:
        if _simulated(name):
            patch.setenv(SIMULATOR, "1")
        yield


def _contender(name):
    with _surroundings(name):
        return contenders(_REGISTRY, [name], "auto")[0]


def _cases(name, contender, full):
    implementation = _REGISTRY.implementations[name]
    supports = implementation.supports_on(contender.device)
    cases = select(slow_build=implementation.slow_build, simulated=_simulated(name), full=full)
    return [case for case in cases if not supports.refusals(case.problem)]


def pytest_generate_tests(metafunc):
    if "case" not in metafunc.fixturenames:
        return
    parameters = []
    for name in _REGISTRY.select(metafunc.config.getoption("impl")):
        contender = _contender(name)
        group = pytest.mark.xdist_group(name)
        if contender.absent:
            reason = f"{name}: {contender.absent}"
            parameters.append(pytest.param(contender, None, id=name, marks=[group, pytest.mark.skip(reason=reason)]))
            continue
        parameters += [
            pytest.param(contender, case, id=f"{name}-{case.id}", marks=group)
            for case in _cases(name, contender, metafunc.config.getoption("full"))
        ]
    metafunc.parametrize("contender, case", parameters)


@pytest.fixture(scope="session")
def checkers():
    """One living worker at a time: cases come implementation by implementation."""
    alive = {}
    yield alive
    for checker in alive.values():
        checker.__exit__()


@pytest.fixture
def checker(contender, checkers):
    if contender.name not in checkers:
        for name in list(checkers):
            checkers.pop(name).__exit__()
        checkers[contender.name] = Checker(contender, len(os.sched_getaffinity(0)), TIMEOUT_S)
    with _surroundings(contender.name):
        yield checkers[contender.name]


@pytest.fixture(params=["numpy", "numba", "torch", "tensorflow", "keras", "jax"])
def framework(request):
    return adapter(request.param)
