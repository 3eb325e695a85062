"""What is explored: values for fields of a recipe, and how much time there is."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError
from harness.tasks.catalogue import checked
from harness.tasks.recipe import Recipe

FIELDS = ("model", "heads", "width", "layers", "learning_rate", "batch", "dropout", "longest")
"""Of a recipe, that can be explored."""

SEED = "seed"


@dataclass(frozen=True)
class Space:
    """Every combination of the values, less those that no recipe has, each with so many seeds."""

    recipe: Recipe
    values: Mapping[str, Sequence[Any]]
    seeds: int = 1

    def __post_init__(self) -> None:
        if not self.values:
            raise UserError(f"nothing to explore; give several values of {', '.join(FIELDS)}, such as --heads 1,2,4")
        if not any(self.fitting()):
            raise UserError("no combination of these values is a model: heads must share the width")

    @property
    def combinations(self) -> int:
        """How many, seeds apart."""
        return math.prod(len(some) for some in self.values.values())

    def recipe_of(self, chosen: Mapping[str, Any]) -> Recipe:
        """The recipe with values in place of its own. Raises `UserError` for a combination that no recipe has."""
        return checked(dataclasses.replace(self.recipe, **chosen))

    def fitting(self) -> Iterator[dict[str, Any]]:
        """The combinations that are recipes."""
        for values in itertools.product(*self.values.values()):
            chosen = dict(zip(self.values, values, strict=True))
            try:
                self.recipe_of(chosen)
            except UserError:
                continue
            yield chosen
