"""Everything that decides how a model is trained, as it is written down with a run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError

TRANSFORMER, LSTM, GRU = MODELS = ("transformer", "lstm", "gru")

CLIP = 1.0
"""Gradients longer than this are shortened to it: Pascanu et al. 2013, arXiv 1211.5063."""

WARM = 0.1
"""The share of steps in which the learning rate rises."""

RISE, FALL = 25.0, 1e4
"""It begins at the highest divided by the one, and ends at its beginning divided by the other."""

EPSILON = 1e-8
"""Of AdamW: what libraries have of their own accord differs by a factor of ten."""


@dataclass(frozen=True)
class Recipe:
    """A training. Equal recipes with equal kernels give equal curves, to the last bit on one machine."""

    task: str
    data: str
    """The name of fetched data, a user's file, or "made": on the spot."""
    model: str = TRANSFORMER
    width: int = 128
    heads: int = 4
    layers: int = 2
    inner: int = 4
    """Width of the layer's feed-forward network, in widths of the model; 0 for none."""
    dropout: float = 0.1
    smoothing: float = 0.1
    """Of labels: Szegedy et al. 2016, arXiv 1512.00567."""
    learning_rate: float = 1e-3
    """The highest, of the one-cycle schedule: Smith and Topin 2017, arXiv 1708.07120."""
    weight_decay: float = 0.01
    batch: int = 64
    steps: int = 1000
    longest: int = 64
    """Tokens of a text; what is longer is cut."""
    vocabulary: int = 8000
    """Tokens at most."""
    validations: int = 10
    """How often the validation part is looked at."""
    patience: int = 4
    """It ends early after so many validations without a better loss."""
    seed: int = 0

    @property
    def warming(self) -> float:
        """The share of the steps in which the learning rate rises; two of them at least."""
        return max(WARM, 2 / (self.steps + 1))

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UserError(f'no model is called "{self.model}"; there are {", ".join(MODELS)}')
        for name in ("width", "heads", "layers", "batch", "steps", "longest", "vocabulary", "validations", "patience"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.width % self.heads:
            raise UserError(f"{self.heads} heads do not share a width of {self.width}")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"the learning rate must be above zero, not {self.learning_rate}")
        for name in ("dropout", "smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise UserError(f"the seed must be at least 0, not {self.seed}")

    def validates_after(self, step: int) -> bool:
        """Whether the validation part is looked at after a step, counted from 1."""
        return step == self.steps or step * self.validations // self.steps > (step - 1) * self.validations // self.steps

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """What `to_json` gave."""
        return cls(**values)
