"""How long the attention of a model takes, whichever it is. For workers only."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any


class Meter:
    """Counts the seconds in attention of every model of this process.

    The layers of transformers ask `ALL_ATTENTION_FUNCTIONS` for their function in every call, by the name in the model's
    configuration; "eager" has each model's own for an answer.
    """

    def __init__(self) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        self.seconds = self.calls_s = 0.0
        self._asked = ALL_ATTENTION_FUNCTIONS.get_interface
        setattr(ALL_ATTENTION_FUNCTIONS, "get_interface", self._answer)  # noqa: B010 - of this instance

    def _answer(self, *arguments: Any, **keywords: Any) -> Callable[..., Any]:
        attention = self._asked(*arguments, **keywords)

        def timed(*tensors: Any, **given: Any) -> Any:
            start = time.perf_counter()
            found = attention(*tensors, **given)
            self.seconds += time.perf_counter() - start
            return found

        return timed

    def whole(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call of a model, whose seconds are counted too: a share in attention is one of the same calls."""

        def timed(*arrays: Any, **given: Any) -> Any:
            start = time.perf_counter()
            found = call(*arrays, **given)
            self.calls_s += time.perf_counter() - start
            return found

        return timed


@functools.cache
def meter() -> Meter:
    """That of this process."""
    return Meter()
