"""The suite inside pytest, for packages that have an implementation of their own:

    pytest --pyargs harness.conformance --implementation my_package.kernels:mine

or, in a test of theirs, the fixture `conformance`:

    def test_mine(conformance):
        conformance("my_package.kernels:mine")

Registered as a pytest plug-in by this distribution, so it is loaded by every pytest beside it, and imports nothing else
until it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.conformance.suite.examine import Subject


SUBJECTS: pytest.StashKey[list[Subject]] = pytest.StashKey()
"""What --implementation named."""


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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: the part of the suite that takes two minutes")
    places = config.getoption("--implementation")
    if places:
        from harness.conformance.suite.examine import subject
        from harness.registry import RegistryError

        try:
            config.stash[SUBJECTS] = [subject(where) for where in places]
        except RegistryError as error:
            raise pytest.UsageError(f"--implementation: {error}") from None


@pytest.fixture(scope="session")
def conformance(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`conformance("package.module:name", device="auto")` examines an implementation, and fails with what was found."""
    from harness.conformance.suite.examine import examine

    def run(where: str, device: str = "auto") -> None:
        __tracebackhide__ = True
        failures = examine(where, device, request.config.getoption("--every-case"))
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)

    return run
