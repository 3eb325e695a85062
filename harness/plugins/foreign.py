"""The parent's view of plug-ins of others. They are imported in a process of their own, with a limit of time.

Whatever one does when it is imported, or when it is asked what it supports, is a reason in a table. The exception is an
operator of one's own: its problems and its oracle are part of the parent, which imports such a plug-in after all, once the
other process has come through.
"""

from __future__ import annotations

import atexit
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import UserError
from harness.operators.base import Operator
from harness.plugins.declaring import AskAvailable, CheckFurther, Declarations, Declared
from harness.plugins.implementation import Implementation
from harness.plugins.origin import Origin
from harness.workers.messages import Failed, Request, Start
from harness.workers.process import Worker
from harness.workers.processors import usable

TIMEOUT_S = 60.0
"""For importing a plug-in, and for each question."""

_SESSION = "harness.plugins.declaring:DeclaringSession"


class OwnOperator(Exception):
    """The plug-in implements an operator that this package has not."""


class Foreign:
    """A plug-in, imported elsewhere. The process is stopped while nobody asks it anything."""

    def __init__(self, origin: Origin, operators: Mapping[str, Operator]):
        self._origin, self._operators = origin, operators
        self._worker: Worker | None = None

    def implementations(self) -> list[Implementation]:
        """What it declares, as far as the parent needs it. Raises `UserError` when it cannot be imported, `OwnOperator` when
        the parent has to do so itself."""
        reply = self._opened().wait_until_ready()
        if isinstance(reply, Failed):
            self.close()
            raise UserError(reply.reason)
        found: Declarations = reply.found
        if not isinstance(found, Declarations) or found.of_own_operators:
            self.close()
            raise OwnOperator
        codes: dict[tuple[str, str, int], Callable[..., Any]] = {}
        made = [self._implementation(one, codes) for one in found.declared]
        self._rest(any(one.checks or one.asks for one in found.declared))
        return made

    def _implementation(self, one: Declared, codes: dict[tuple[str, str, int], Callable[..., Any]]) -> Implementation:
        supports = {
            device: dataclasses.replace(some, extra_check=self._checking(one, device)) if device in one.checks else some
            for device, some in one.supports.items()
        }
        return Implementation(
            name=one.name,
            factory=codes.setdefault(one.code, _elsewhere(one)),
            operator=self._operators[one.operator],
            supports=supports,
            unavailable_reason=self._asking(one) if one.asks else None,
            library_call=_elsewhere(one) if one.calls_library else None,
            origin=self._origin,
            **one.fields,
        )

    def _checking(self, one: Declared, device: str) -> Callable[[Any], list[str]]:
        def extra_check(problem: Any) -> list[str]:
            return self._answer(CheckFurther(one.name, one.operator, device, problem))

        return extra_check

    def _asking(self, one: Declared) -> Callable[[str], str | None]:
        def unavailable_reason(device: str) -> str | None:
            return next(iter(self._answer(AskAvailable(one.name, one.operator, device))), None)

        return unavailable_reason

    def _answer(self, request: Request) -> list[str]:
        """The reasons; that it cannot be asked is one."""
        reply = self._opened().ask(request, TIMEOUT_S)
        if isinstance(reply, Failed):
            self.close()
            return [f"{request.STEP} cannot be asked: {reply.status}: {reply.reason}"]
        self._rest(True)
        return list(reply.reasons)

    def _opened(self) -> Worker:
        if self._worker is None or not self._worker.alive:
            arguments = (self._origin, tuple(self._operators))
            threads = usable()
            self._worker = Worker(Start(_SESSION, arguments, threads, 0), {}, TIMEOUT_S)
            atexit.register(self.close)
        return self._worker

    def _rest(self, asked_again: bool) -> None:
        if asked_again and self._worker is not None:
            self._worker.pause()
        else:
            self.close()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
            atexit.unregister(self.close)


def _elsewhere(one: Declared) -> Callable[..., Any]:
    def factory(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{one.name} is a plug-in, which is imported by its worker")

    factory.__doc__ = one.doc
    factory.__module__, factory.__qualname__, _number = one.code
    return factory
