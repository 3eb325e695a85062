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
        for name, some in self.values.items():
            for value in some:
                self._check(name, value)

    @property
    def combinations(self) -> int:
        """How many, seeds apart."""
        return math.prod(len(some) for some in self.values.values())

    def recipe_of(self, chosen: Mapping[str, Any]) -> Recipe:
        """The recipe with values in place of its own. Raises `UserError` for a combination that no recipe has."""
        return checked(dataclasses.replace(self.recipe, **chosen))

    def _check(self, name: str, value: Any) -> None:
        """Raise `UserError` for a value that is in no recipe, whatever heads and width are beside it."""
        both = [self.values.get(one, (getattr(self.recipe, one),)) for one in ("heads", "width")]
        reason: UserError | None = None
        for heads, width in itertools.product(*both):
            try:
                self.recipe_of({"heads": heads, "width": width, name: value})
            except UserError as error:
                reason = reason or error
            else:
                return
        if reason:
            raise reason

    def fitting(self) -> Iterator[dict[str, Any]]:
        """The combinations that are recipes."""
        for values in itertools.product(*self.values.values()):
            chosen = dict(zip(self.values, values, strict=True))
            try:
                self.recipe_of(chosen)
            except UserError:
                continue
            yield chosen
