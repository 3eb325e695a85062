"""Every implementation is asked in a worker of its own; at most one is alive at a time."""

from harness.conformance.suite.test_conformance import examiner, living  # noqa: F401 - the suite's own fixtures
