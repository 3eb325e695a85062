"""The suite inside pytest, for packages that have an implementation of their own:

    pytest --pyargs harness.conformance --implementation my_package.kernels:mine

or, in a test of theirs, the fixture `conformance`:

    def test_mine(conformance):
        conformance("my_package.kernels:mine")

Of each kind of failures the first fails; the others are expected failures that name it, and a summary counts them.

Registered as a pytest plug-in by this distribution, so every pytest beside it loads it: it imports nothing else until it is
used, and another project's `harness` does not disturb it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attention_harness import ForeignHarness, ours

FAILURE = "attention-harness"
"""The property of a test's report that describes its failure, so that the summary can be made wherever the test ran."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("attention-harness")
    group.addoption(
        "--implementation",
        action="append",
        default=[],
        metavar="WHERE:NAME",
        help="an implementation to examine: package.module:name or file.py:name; may be repeated",
    )
    group.addoption("--every-case", action="store_true", help="every case, also where each shape is compiled for seconds")
    group.addoption("--every-failure", action="store_true", help="every failing case fails, not the first of its kind only")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: the part of the suite that takes two minutes")
    config.addinivalue_line("markers", "xdist_group(name): keeps an implementation's cases in one process of pytest-xdist")
    places = config.getoption("--implementation")
    if places:
        try:
            ours("harness.conformance.suite.plugin").choose(config, places)
        except ForeignHarness as error:
            raise pytest.UsageError(f"--implementation: {error}") from None


@pytest.fixture(scope="session")
def conformance(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`conformance("package.module:name", device="auto")` examines an implementation, and fails with what was found."""

    def run(where: str, device: str = "auto") -> None:
        __tracebackhide__ = True
        try:
            found = ours("harness.conformance.suite.plugin").examined(where, device, request.config)
        except ForeignHarness as error:
            found = str(error)
        if found:
            pytest.fail(found, pytrace=False)

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The kinds of failures of the cases, from whichever processes they ran in."""
    reports = [report for outcome in ("failed", "xfailed") for report in terminalreporter.getreports(outcome)]
    failures = [value for report in reports for name, value in report.user_properties if name == FAILURE]
    if failures:
        terminalreporter.section("kinds of failures")
        for line in ours("harness.conformance.suite.summary").lines(failures):
            terminalreporter.write_line(line)
