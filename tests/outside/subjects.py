"""Which implementations are examined: those that `--impl` names."""

from collections.abc import Collection

import pytest

from harness.conformance.suite.examine import Subject
from harness.registry import discover

REGISTRY = discover()


def chosen(config: pytest.Config, among: Collection[str] = REGISTRY.implementations) -> list[Subject]:
    """The chosen ones, as subjects that know where they can run here."""
    names = [name for name in REGISTRY.select(config.getoption("impl")) if name in among]
    return [Subject(REGISTRY.implementations[name], f"--impl {name}") for name in names]
