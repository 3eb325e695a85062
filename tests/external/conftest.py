"""Every implementation is asked in a worker of its own; at most one is alive at a time."""

from harness.conformance.suite.test_conformance import examiner, living

__all__ = ["examiner", "living"]
