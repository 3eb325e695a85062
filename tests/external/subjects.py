"""Which implementations are examined, those that `--impl` names, and by what."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest

from harness.conformance.suite.examine import Subject
from harness.conformance.suite.test_conformance import parameter, skipped
from harness.plugins.registry import discover

REGISTRY = discover().of("attention")


def chosen(config: pytest.Config, among: Collection[str] = REGISTRY.implementations) -> list[Subject]:
    """The chosen ones, as subjects that know where they can run here."""
    names = [name for name in REGISTRY.select(config.getoption("impl")) if name in among]
    return [Subject(REGISTRY.implementations[name], f"--impl {name}") for name in names]


def parameters(
    subjects: Iterable[Subject], values_of: Callable[[Subject], Iterable[Any]], name_of: Callable[[Any], str]
) -> list[Any]:
    """A parameter for each subject and value, and a skip with its reason for a subject that cannot run here."""
    wanted: list[Any] = []
    for one in subjects:
        if one.contender.absent:
            wanted.append(skipped(one, one.contender.absent))
        else:
            wanted.extend(parameter(one, value, name_of(value)) for value in values_of(one))
    return wanted
