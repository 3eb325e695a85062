"""Every implementation of the registry against every case that it declares to support."""

import os

import pytest

from harness.record import Status
from harness.report.verdicts import line


def test_case(case, contender, checker):
    verdict = checker.check(case)
    repeat = f"python -m harness check --impl {contender.name} --case {case.id}"
    assert verdict.status is Status.OK, line(contender.name, verdict, repeat)


def test_framework_is_installed_where_all_must_be(framework):
    missing = framework.unavailable("cpu")
    if missing and "CI" not in os.environ:
        pytest.skip(f"{missing}; only continuous integration insists")
    assert missing is None
