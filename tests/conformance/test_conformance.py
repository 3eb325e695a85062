"""Every implementation of the registry against every case that it declares to support: `--impl NAME` for some of them."""

import os

import pytest

from harness.conformance.suite.examine import Subject
from harness.conformance.suite.test_conformance import (
    conclude,
    examiner,
    living,
    parametrize,
    test_case,
    test_random_problems,
)
from harness.plugins.registry import discover

__all__ = ["conclude", "examiner", "living", "test_case", "test_random_problems"]
"""The suite's own tests and fixtures, which pytest finds and runs here."""

_FOUND = discover()


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("impl")
    registries = (
        _FOUND.registries.values() if asked == "all" else [_FOUND.holding(asked, metafunc.config.getoption("operator"))]
    )
    chosen = [
        Subject(registry.implementations[name], f"{registry.option}--impl {name}")
        for registry in registries
        for name in registry.select(asked)
    ]
    parametrize(metafunc, chosen, metafunc.config.getoption("full"))


def test_framework_is_installed_where_all_must_be(framework):
    missing = framework.unavailable("cpu")
    if missing and "CI" not in os.environ:
        pytest.skip(f"{missing}; only continuous integration insists")
    assert missing is None
