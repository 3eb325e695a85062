"""A worker with one implementation loaded: what measuring and conformance have in common."""

from __future__ import annotations

from typing import Any

from harness.frameworks import Framework, adapter
from harness.plugins.contender import Contender
from harness.plugins.implementation import Implementation
from harness.plugins.origin import Origin
from harness.plugins.registry import find
from harness.workers.messages import Start


class ImplementationSession:
    """An implementation, alone in a process with its framework."""

    def __init__(self, operator: str, origin: Origin, name: str, device: str, threads: int):
        self.implementation: Implementation = find(origin, name, operator)
        self.framework: Framework = adapter(self.implementation.framework)(device, threads)

    @property
    def ready(self) -> Any:
        """Versions and fairness settings, by name, as the framework has them."""
        return self.framework.settings()


def opening(contender: Contender, session: type[ImplementationSession], threads: int, memory_bytes: int = 0) -> Start:
    """The first message to a worker that is to open a session with a contender.

    Memory of another device than the CPU is not limited.
    """
    return Start(
        session=f"{session.__module__}:{session.__qualname__}",
        # Nothing whose class imports NumPy: the worker reads this before it keeps to its CPUs.
        arguments=(contender.operator, contender.origin, contender.name, contender.device, threads),
        threads=threads,
        memory_bytes=memory_bytes if contender.device == "cpu" else 0,
    )


def environment(contender: Contender, threads: int) -> dict[str, str]:
    """The variables that its framework wants to find when it is imported."""
    return adapter(contender.framework).environment(contender.device, threads)
