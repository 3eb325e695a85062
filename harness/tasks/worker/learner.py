"""A network in training: steps, validation, its state on disk. For workers only."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.errors import UserError
from harness.tasks.batches import IGNORED, Sample, Shuffled
from harness.tasks.curves import Point
from harness.tasks.recipe import CLIP, EPSILON, FALL, RISE, Recipe
from harness.tasks.worker.tensors import Tensors, in_order, tensors


@dataclass(frozen=True)
class Score:
    """Over a part of the data: mean loss in nats, and the share of right answers."""

    loss: float
    accuracy: float


class Learner:
    """Trains a network by a recipe. AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) and one cycle of learning rates."""

    def __init__(self, network: nn.Module, recipe: Recipe, train: Sequence[Sample], validation: Sequence[Sample]):
        self.network, self.recipe, self.step, self.seconds = network, recipe, 0, 0.0
        self.best_loss, self.worse = math.inf, 0
        """The best on the validation part, and how many looks at it ago that was."""
        self._best: dict[str, torch.Tensor] = {}
        self._batches = Shuffled(train, recipe.batch, recipe.seed)
        self._validation = validation
        self._loss = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
        groups = _groups(network, recipe.weight_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, eps=EPSILON)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            recipe.learning_rate,
            total_steps=recipe.steps + 1,
            pct_start=recipe.warming,
            cycle_momentum=False,
            div_factor=RISE,
            final_div_factor=FALL,
        )

    @property
    def done(self) -> bool:
        """Whether all steps have been made, or no better loss is to be hoped for."""
        return self.step >= self.recipe.steps or self.worse >= self.recipe.patience

    def train(self, steps: int) -> list[Point]:
        """Make so many steps, or those that are left. The points of the curve, those of validations among them.

        Raises `UserError` when the loss is no number any more.
        """
        points = []
        for _ in range(min(steps, self.recipe.steps - self.step)):
            if self.done:
                break
            start = time.perf_counter()
            loss, accuracy = self._one()
            self.seconds += time.perf_counter() - start
            self.step += 1
            points.append(Point(self.step, "train", loss, accuracy, self.seconds))
            if not math.isfinite(loss):
                raise UserError(f"the loss is {loss} after step {self.step}; a lower --learning-rate may help")
            if self.recipe.validates_after(self.step):
                score = self.evaluate(self._validation)
                points.append(Point(self.step, "validation", score.loss, score.accuracy, self.seconds))
                self._compare(score.loss)
        return points

    def _compare(self, loss: float) -> None:
        """Keep the weights of the best look at the validation part."""
        if loss < self.best_loss:
            self.best_loss, self.worse = loss, 0
            self._best = {name: weight.clone() for name, weight in self.network.state_dict().items()}
        else:
            self.worse += 1

    def take_best(self) -> None:
        """Have the network be what it was at the best look at the validation part."""
        if self._best:
            self.network.load_state_dict(self._best)

    def _one(self) -> tuple[float, float]:
        batch = tensors(self._batches[self.step])
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # Dropout is the step's, whatever was done before.
        self.network.train()
        logits, targets = _logits(self.network, batch)
        loss = self._loss(logits, targets)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self._optimizer.step()
        self._schedule.step()
        return loss.item(), _right(logits, targets) / len(targets)

    def evaluate(self, samples: Sequence[Sample]) -> Score:
        """Without dropout and smoothing."""
        return evaluate(self.network, samples, self.recipe.batch)

    def save(self, path: Path) -> None:
        """Write everything that going on takes. Whole or not at all; raises `UserError` when it cannot be written."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": self._best,
            "counts": (self.step, self.seconds, self.best_loss, self.worse),
        }
        write(state, path)

    def load(self, path: Path) -> None:
        """Go on from what `save` has written. Raises `UserError` for a file that is damaged or of another recipe."""
        state = read(path)
        try:
            self.network.load_state_dict(state["network"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            self._best = state["best"]
            self.step, self.seconds, self.best_loss, self.worse = state["counts"]
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise UserError(f"{path} is not of this recipe; delete it to begin again") from None


@torch.no_grad()
def evaluate(network: nn.Module, samples: Sequence[Sample], batch: int) -> Score:
    """The mean loss and accuracy of a network over samples, without dropout and smoothing."""
    network.eval()
    total, right, counted = 0.0, 0, 0
    for one in in_order(samples, batch):
        logits, targets = _logits(network, one)
        total += nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        right, counted = right + _right(logits, targets), counted + len(targets)
    return Score(total / counted, right / counted)


def _logits(network: nn.Module, batch: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits (n, classes), targets (n,)) of all targets that count."""
    features, targets = network.features(*batch.inputs), batch.targets.flatten()
    counted = (targets != IGNORED).nonzero()[:, 0]
    return network.out(features.flatten(0, -2).index_select(0, counted)), targets[counted]


def _right(logits: torch.Tensor, targets: torch.Tensor) -> int:
    return int((logits.argmax(-1) == targets).sum())


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases, and the scales of normalisations, do not."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def write(state: Any, path: Path) -> None:
    """Write a state of tensors and plain values, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(state, beside)
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # PyTorch has a RuntimeError for a full disk.
        beside.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def read(path: Path) -> Any:
    """What `write` has written; nothing but tensors and plain values is read. Raises `UserError` for another file."""
    try:
        return torch.load(path, weights_only=True)
    except Exception as error:  # Of pickle, zip and PyTorch, by what is wrong with the file.
        raise UserError(f"{path} cannot be read: {type(error).__name__}") from None
