"""The folder of a search: space.json · environment.json · trials.log · results.csv · report.md · pictures."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

from harness.errors import UserError, describe
from harness.records.files import read_whole, write_whole
from harness.records.machine import Machine
from harness.records.stored import machine_of, store_machine
from harness.records.strict_json import dumps
from harness.records.typed import checked
from harness.tasks.catalogue import RECALL, task
from harness.tasks.exploring.space import Space
from harness.tasks.plan import Training, training_of
from harness.tasks.recipe import Recipe

SPACE = "space.json"
GRID, TPE, RANDOM = SAMPLERS = ("grid", "tpe", "random")


class ExploreFolder:
    """A search on disk."""

    def __init__(self, path: Path, attention: Training, space: Space, sampler: str, halving: bool = True):
        self.path, self.attention, self.space, self.sampler, self.halving = path, attention, space, sampler, halving

    @classmethod
    def create(cls, path: Path, attention: Training, space: Space, sampler: str, halving: bool = True) -> ExploreFolder:
        """Start a search in a folder that does not exist or is empty. Raises `UserError` for any other."""
        try:
            if path.is_dir() and any(path.iterdir()):
                held = (
                    f"; to go on: python -m harness explore --resume {shlex.quote(str(path))}"
                    if (path / SPACE).exists()
                    else ""
                )
                raise UserError(f"{path} is not empty, and nothing in it will be overwritten{held}")
            path.mkdir(parents=True, exist_ok=True)
            text = {
                "attention": dataclasses.asdict(attention),
                "recipe": space.recipe.to_json(),
                "values": dict(space.values),
                "seeds": space.seeds,
                "sampler": sampler,
                "halving": halving,
            }
            write_whole(path / SPACE, dumps(text, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"cannot write the folder {path}: {error.strerror}") from None
        return cls(path, attention, space, sampler, halving)

    @classmethod
    def open(cls, path: Path) -> ExploreFolder:
        """The search in a folder. Raises `UserError` when there is none that can be read."""
        try:
            read = json.loads(read_whole(path / SPACE))
            recipe, attention = checked(Recipe.from_json(read["recipe"])), training_of(read["attention"])
            space = checked(Space(recipe, read["values"], read["seeds"]))
            if space.seeds < 1 or read["sampler"] not in SAMPLERS or not isinstance(read["halving"], bool):
                raise ValueError(
                    f"seeds, sampler and halving are {[read[n] for n in ('seeds', 'sampler', 'halving')]!r:.200}"
                )
            return cls(path, attention, space, read["sampler"], read["halving"])
        except OSError as error:
            raise UserError(f"{path} holds no search: {SPACE}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path / SPACE} is not of this version: {describe(error)}") from None

    @property
    def compares_lengths(self) -> bool:
        """Whether lengths are not chosen but compared: how far back a model remembers is what `recall` asks."""
        return task(self.space.recipe.task).kind == RECALL and len(self.space.values.get("longest", ())) > 1

    def write_machine(self, machine: Machine) -> None:
        """Record the machine of this session; that of each later session is kept beside the first."""
        store_machine(self.path, machine)

    def machine(self) -> Machine:
        """The machine of the search; empty when that was never written."""
        return machine_of(self.path)

    def write_text(self, name: str, text: str) -> None:
        """Write a file, whole or not at all. Raises `UserError` when it cannot."""
        write_whole(self.path / name, text)
