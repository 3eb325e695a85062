"""What the tests of the outside world share: the living worker of the implementation under test."""

import pytest

from harness.conformance.suite.examine import Living, Subject
from harness.registry import discover


@pytest.fixture(scope="session")
def living():
    alive = Living()
    yield alive
    alive.end()


@pytest.fixture(scope="session")
def registry():
    return discover()


@pytest.fixture
def subject_of(registry, living):
    """`subject_of(name)`: an implementation and its checker; skips with the reason where it cannot run."""

    def find(name):
        subject = Subject(registry.implementations[name], f"--impl {name}")
        if subject.contender.absent:
            pytest.skip(f"{name}: {subject.contender.absent}")
        return subject, living.of(subject)

    return find
