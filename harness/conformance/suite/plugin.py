"""What the pytest plug-in does once it is used."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.conformance.suite.examine import Subject, examine, subject
from harness.errors import UserError

SUBJECTS: pytest.StashKey[list[Subject]] = pytest.StashKey()
"""What --implementation named."""

FAILURE = "attention-harness"
"""The property of a test's report that describes its failure; the plug-in looks for it."""


def choose(config: pytest.Config, places: Sequence[str]) -> None:
    """Find the named implementations. Raises `pytest.UsageError` for one that is not there."""
    try:
        config.stash[SUBJECTS] = [subject(where) for where in places]
    except UserError as error:
        raise pytest.UsageError(f"--implementation: {error}") from None


def examined(where: str, device: str, config: pytest.Config) -> str:
    """What is wrong with an implementation, or ""."""
    try:
        return examine(where, device, config.getoption("--every-case"))
    except UserError as error:
        return str(error)
