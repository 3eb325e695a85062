"""The trainings of a run, and the folder in which they lie."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError, describe
from harness.plugins.origin import Origin
from harness.records.files import read_whole, write_whole
from harness.records.lines import add_lines, opened
from harness.records.machine import Machine
from harness.records.stored import machine_of, store_machine
from harness.records.strict_json import dumps, number
from harness.records.typed import checked
from harness.tasks import curves
from harness.tasks.curves import Point
from harness.tasks.recipe import Recipe
from harness.tasks.sameness import SHAKEN

TORCH, KERAS = "torch", "keras"

PLAN, FINISHED = "plan.json", "finished.jsonl"


@dataclass(frozen=True)
class Training:
    """One network to be trained."""

    name: str
    """Of its curve and its folder: no other of the run has it."""
    recipe: Recipe
    attention: str
    """The name of an implementation; without meaning for a recurrent model."""
    framework: str
    origin: Origin | None = None
    """Of a plug-in."""
    stop: int = 0
    """It ends after so many steps of the recipe; 0 for all."""
    session: str = TORCH
    """What trains: PyTorch as `learner` does, or Keras by `fit`."""
    shaken: bool = False
    """Whether its weights are first changed by a rounding: what comes of that is what rounding explains."""

    @property
    def subject(self) -> str:
        """What is trained, whatever the seed: the name of the implementation, or of the recurrent model."""
        return SHAKEN if self.shaken else self.attention or self.recipe.model

    @property
    def steps(self) -> int:
        """How many it makes at most."""
        return self.stop or self.recipe.steps


@dataclass(frozen=True)
class Result:
    """What came of a training."""

    name: str
    scores: Mapping[str, float] = field(default_factory=dict)
    """On the test part: accuracy, loss in nats, and those of the task."""
    details: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""
    """Why there are no scores."""
    parameters: int = 0
    steps: int = 0
    seconds: float = 0.0
    """In steps of training, without validation."""
    peak_memory_bytes: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """What was written of it. Raises `ValueError`, `TypeError` or `AttributeError` for anything else."""
        scores = {name: number(value) for name, value in data.get("scores", {}).items()}
        return checked(cls(**{**data, "scores": scores}))


@dataclass(frozen=True)
class Notes:
    """What the report says beside the trainings."""

    parts: Mapping[str, int] = field(default_factory=dict)
    """How many examples each part has."""
    examples_sha256: str = ""
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores of what was not trained, by its name."""


class TaskFolder:
    """A run of trainings on disk: plan.json · environment.json · curves.jsonl · finished.jsonl, and a folder a model."""

    def __init__(self, path: Path, trainings: Sequence[Training], notes: Notes):
        self.path, self.trainings, self.notes = path, tuple(trainings), notes

    @classmethod
    def create(cls, path: Path, trainings: Sequence[Training], notes: Notes) -> TaskFolder:
        """Start a run in a folder that does not exist or is empty. Raises `UserError` for any other."""
        try:
            if path.is_dir() and any(path.iterdir()):
                held = (
                    f"; to go on: python -m harness task --resume {shlex.quote(str(path))}"
                    if (path / PLAN).exists()
                    else "; name another"
                )
                raise UserError(f"{path} is not empty, and nothing in it will be overwritten{held}")
            path.mkdir(parents=True, exist_ok=True)
            plan = {"trainings": [dataclasses.asdict(one) for one in trainings], **dataclasses.asdict(notes)}
            write_whole(path / PLAN, dumps(plan, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"cannot write the run's folder {path}: {error.strerror}") from None
        return cls(path, trainings, notes)

    @classmethod
    def open(cls, path: Path) -> TaskFolder:
        """The run in a folder. Raises `UserError` when there is none that can be read."""
        try:
            plan = json.loads(read_whole(path / PLAN))
            trainings = [training_of(one) for one in plan.pop("trainings")]
            if not trainings:
                raise UserError("there are no trainings in it")
            notes = checked(Notes(**plan))
        except OSError as error:
            raise UserError(f"{path} holds no trainings: {PLAN}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path}/{PLAN} is not a plan of trainings of this version: {describe(error)}") from None
        return cls(path, trainings, notes)

    def folder(self, training: Training) -> Path:
        """Where its state and its model lie."""
        return self.path / training.name

    def curves(self) -> dict[str, list[Point]]:
        """By the name of the training."""
        return curves.read(self.path)

    def results(self) -> dict[str, Result]:
        """Of trainings that have ended, by name."""
        try:
            lines = read_whole(self.path / FINISHED).splitlines()
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            try:
                result = Result.from_json(opened(line))
            except (ValueError, TypeError, AttributeError):  # Cut off by a kill, or damaged: it will be made again.
                continue
            found[result.name] = result
        return found

    def add_result(self, result: Result) -> None:
        """Write down what came of a training. Raises `UserError` when it cannot be written."""
        add_lines(self.path / FINISHED, [dataclasses.asdict(result)])

    def write_machine(self, machine: Machine) -> None:
        """Record the machine of this session; that of each later session is kept beside the first."""
        store_machine(self.path, machine)

    def machine(self) -> Machine:
        """The machine of the run; empty when that was never written."""
        return machine_of(self.path)

    def write_text(self, name: str, text: str) -> None:
        """Write a file, whole or not at all. Raises `UserError` when it cannot."""
        write_whole(self.path / name, text)


def training_of(values: Mapping[str, Any]) -> Training:
    """What `dataclasses.asdict` gave of one."""
    origin = values["origin"]
    return checked(
        Training(**{**values, "recipe": Recipe(**values["recipe"]), "origin": Origin(**origin) if origin else None})
    )
