"""The processor's limits: multiply-adds a second, and bytes a second from each cache and from memory.

Measured in worker processes one after the other, in rounds, and the best is kept: whatever else runs on the machine can
only slow them down, and seldom does so for as long as all rounds take.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from harness.frameworks import adapter
from harness.measure.limits_messages import MeasureRates, Rate, RatesMeasured
from harness.measure.limits_session import MicrobenchmarkSession, ProductSession
from harness.measure.load import LoadMeter
from harness.measure.pool import Launcher
from harness.operators.dtypes import DTYPES
from harness.records.limits import Arithmetic, CacheLevel, Limits
from harness.workers.messages import Failed, Start
from harness.workers.process import Worker

LIBRARIES = ("numpy", "torch")
"""Whose matrix products are measured."""

RESIZABLE = {"torch"}
"""Libraries whose number of threads can be changed once they are imported; others need a process for each number."""

ROUNDS = 2

MICROBENCHMARK_S = 0.03
"""Seconds for each rate in a round."""

PRODUCT_S = 0.06
"""Seconds for each product in a round."""


@dataclass(frozen=True)
class _Asked:
    """A worker that measures."""

    framework: str
    session: type
    arguments: tuple[Any, ...]
    threads: int
    """Of the framework when it is imported."""
    rate_s: float


def measure_limits(threads: int, launcher: Launcher = Worker, timeout_s: float = 60.0) -> Limits:
    """Measure this machine's processor with one thread and with `threads`; takes about 5 s with two.

    What could not be measured is told in `Limits.warnings`; nothing is raised for it.
    """
    found = _Found()
    with ExitStack() as stack:
        workers = []
        for asked in _asked(threads):
            if absent := adapter(asked.framework).unavailable("cpu"):
                found.sentences.append(absent)
                continue
            session = f"{asked.session.__module__}:{asked.session.__qualname__}"
            start = Start(session, asked.arguments, threads, memory_bytes=0)
            worker = launcher(start, adapter(asked.framework).environment("cpu", asked.threads), timeout_s)
            stack.callback(worker.kill)
            workers.append((asked, worker))
        for _, worker in workers:
            worker.wait_until_ready()
        meter = LoadMeter(worker.pid for _, worker in workers)
        for _ in range(ROUNDS):
            for asked, worker in workers:
                found.add(asked, worker.ask(MeasureRates(asked.rate_s), timeout_s))
                worker.wait_until_idle()
        found.foreign_share = meter.foreign_share()
        found.sentences += filter(None, [meter.disturbed()])
    return found.limits(threads)


def _asked(threads: int) -> list[_Asked]:
    counts = tuple(sorted({1, threads}))
    asked = [_Asked("numba", MicrobenchmarkSession, (threads,), threads, MICROBENCHMARK_S)]
    for name in LIBRARIES:
        for together in [counts] if name in RESIZABLE else [(count,) for count in counts]:
            asked.append(_Asked(name, ProductSession, (name, together), max(together), PRODUCT_S))
    return asked


class _Found:
    """The best of every rate so far."""

    def __init__(self) -> None:
        self.per_s: dict[Rate, float] = {}
        self.missing: dict[Rate, str] = {}
        self.caches: tuple[CacheLevel, ...] = ()
        self.foreign_share = 0.0
        self.sentences: list[str] = []

    def add(self, asked: _Asked, reply: RatesMeasured | Failed) -> None:
        """Fold in what a worker answered."""
        if isinstance(reply, Failed):
            self.sentences.append(f"{asked.framework} with {asked.threads} threads: {reply.reason}")
            return
        for rate, per_s in reply.per_s.items():
            self.per_s[rate] = max(per_s, self.per_s.get(rate, 0.0))
        self.missing.update(reply.missing)
        self.caches = self.caches or reply.caches

    def limits(self, threads: int) -> Limits:
        """The record."""
        missing = [f"{rate.kind} of {rate.of}: {why}" for rate, why in self.missing.items() if rate not in self.per_s]
        return Limits(
            threads=threads,
            arithmetic=tuple(self._arithmetic(dtype) for dtype in DTYPES),
            caches=tuple(replace(level, read_bytes_per_s=self._rates("read", level.name)) for level in self.caches),
            memory_read_bytes_per_s=self._rates("read", "memory"),
            memory_copy_bytes_per_s=self._rates("copy", "memory"),
            foreign_share=self.foreign_share,
            warnings=tuple(dict.fromkeys(self.sentences + missing)),
        )

    def _arithmetic(self, dtype: str) -> Arithmetic:
        peak, product = (self._rates(kind, dtype) for kind in ("peak", "product"))
        return Arithmetic(dtype=dtype, peak_flops_per_s=peak, product_flops_per_s=product)

    def _rates(self, kind: str, of: str) -> Mapping[int, float]:
        return {rate.threads: per_s for rate, per_s in sorted(self.per_s.items()) if rate[:2] == (kind, of)}
