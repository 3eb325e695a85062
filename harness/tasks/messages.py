"""What a training session is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.tasks.curves import Point
from harness.workers.messages import Request


@dataclass(frozen=True)
class Opened:
    """What the session says of itself."""

    parameters: int
    samples: Mapping[str, int]
    """By part."""
    step: int
    """Steps that an earlier session has made."""
    seconds: float


@dataclass(frozen=True)
class Trained:
    points: tuple[Point, ...]
    done: bool


@dataclass(frozen=True)
class Train(Request):
    """Make steps for about so many seconds, at most `steps`. Answered by `Trained` or `Failed`."""

    STEP: ClassVar[str] = "training"
    REPLY: ClassVar[type] = Trained

    seconds: float
    steps: int


@dataclass(frozen=True)
class Save(Request):
    """Write the state to disk. Answered by True or `Failed`."""

    STEP: ClassVar[str] = "writing the state"
    REPLY: ClassVar[type] = bool


@dataclass(frozen=True)
class Finished:
    scores: Mapping[str, float]
    """By name: accuracy, loss in nats, and those of the task."""
    details: Mapping[str, Any]
    """What else the report shows, such as some translations."""
    peak_memory_bytes: int


@dataclass(frozen=True)
class Finish(Request):
    """Write the model, and score it on the test part. Answered by `Finished` or `Failed`."""

    STEP: ClassVar[str] = "scoring on the test part"
    REPLY: ClassVar[type] = Finished


MOST_SHOWN = 3
"""Labels of which the probability is said."""


@dataclass(frozen=True)
class Predicted:
    lines: tuple[str, ...]
    weights: tuple[Any, ...] = ()
    """`looking.Weights` of every layer of attention."""


@dataclass(frozen=True)
class Predict(Request):
    """What a trained model says of a text. Answered by `Predicted` or `Failed`."""

    STEP: ClassVar[str] = "predicting"
    REPLY: ClassVar[type] = Predicted

    text: str
