"""The implementation that a layer of one's own is."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any

from harness.errors import UserError
from harness.frameworks import adapter
from harness.layers.own.place import Place
from harness.operators.attention.problem import CAUSAL
from harness.operators.multi_head.operator import MULTI_HEAD
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.supports import Supports
from harness.plugins.implementation import Implementation
from harness.plugins.origin import Origin
from harness.workers.messages import Failed, Start
from harness.workers.process import Worker

TIMEOUT_S = 120.0
"""For importing the file, and making and calling the layer once."""

KIND = "layer"
"""Of its origin."""

_DTYPE = "a layer of one's own is examined in float32"
_NO_MASK = "it takes no mask"
_EMPTY = "a layer of one's own is not given empty arrays"
_ALWAYS_CAUSAL = "it is causal, whatever it is given"


def declared(location: str) -> Implementation:
    """The implementation for a command: a worker looks at the layer. Raises `UserError` where it cannot be used."""
    place = Place.parse(location)
    start = Start("harness.layers.own.session:LayerSession", (place.location,), threads=1, memory_bytes=0)
    # Keras's variables do no harm to PyTorch, and which of them it is is not known before the file is imported.
    with Worker(start, adapter("keras").environment("cpu", 1), TIMEOUT_S) as worker:
        answer = worker.wait_until_ready()
    if isinstance(answer, Failed):
        raise UserError(answer.reason)
    return _implementation(place, answer.found)


def load(location: str) -> ModuleType:
    """A plug-in with the implementation, in the worker that serves it."""
    from harness.layers.own.examined import OwnLayer

    place = Place.parse(location)
    if any(word in place.path.read_text(encoding="utf-8") for word in ("keras", "tensorflow")):
        # TensorFlow wants to know its threads before it computes anything, as the file may do and `examined` does.
        adapter("keras")("cpu", len(os.sched_getaffinity(0)))
    own = OwnLayer(place)
    module = ModuleType(place.name)
    module.layer = _implementation(place, own.examined(), own)  # type: ignore[attr-defined]
    return module


def _implementation(place: Place, examined: Any, own: Any = None) -> Implementation:
    def factory(problem: Problem) -> Any:
        made = own.made(problem)
        return lambda **weights: made.load(weights)

    factory.__doc__ = "; ".join([f"{examined.call}, where {', '.join(examined.weights)}", *examined.notes]) + "."
    return Implementation(
        name=place.name,
        factory=factory,
        operator=MULTI_HEAD,
        framework=examined.framework,
        supports=_supports(examined),
        origin=Origin(KIND, place.location),
    )


def _supports(examined: Any) -> Supports:
    masked, causal = examined.takes_mask, CAUSAL if examined.takes_mask else ()
    return Supports(
        dtypes=("float32",),
        mask=masked,
        causal=("top-left",) if examined.always_causal else causal,
        window=masked,
        cross=examined.takes_y,
        biases=examined.biases,
        grouped_heads=examined.grouped,
        gradients=True,
        reasons={"dtypes": _DTYPE, **({} if masked else dict.fromkeys(("mask", "causal", "window"), _NO_MASK))},
        extra_check=functools.partial(_further, examined.always_causal),
    )


def _further(always_causal: bool, problem: Problem) -> list[str]:
    """Most layers are never given empty arrays; one that is causal by itself has no answer to other problems."""
    empty = not min(problem.batch, problem.q_len, problem.kv_len)
    return [_EMPTY] * empty + [_ALWAYS_CAUSAL] * (always_causal and problem.causal is None)
