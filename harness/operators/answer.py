"""What the outputs of a problem should be, where they are checked, and how far off they may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Tensor:
    """One output of the oracle. Where only some rows are checked, the arrays hold those."""

    value: np.ndarray
    """float64; nan where the definition gives nan or infinity."""
    bound: np.ndarray
    """The largest admissible absolute difference of each element; zero where the output must be exactly zero."""
    rows: np.ndarray | None = None
    """Indices of the checked rows along the last axis but one; None where every row is checked."""
    length: int = 0
    """Rows of the whole output, where not every one is checked."""
    excused: np.ndarray | bool = False
    """Boolean: where an output may be nan or infinite though the definition gives a number, since a nan or an infinity is
    hidden from its row, or a number on the way lies beyond the accumulator's range."""

    def checked(self, output: np.ndarray) -> np.ndarray:
        """The rows of an output that are checked."""
        return output if self.rows is None else output[..., self.rows, :]

    @property
    def complete(self) -> bool:
        """Whether every row is checked."""
        return self.rows is None or len(self.rows) == self.length

    def place(self, at: tuple[int, ...]) -> tuple[int, ...]:
        """The indices in the whole output of an element of what is checked."""
        if self.rows is None:
            return at
        return (*at[:-2], int(self.rows[at[-2]]), at[-1])


Expected = Mapping[str, Tensor]
"""The outputs by name, such as {"o": …}, or {"dq": …, "dk": …, "dv": …}."""


def save(answer: Expected, path: Path) -> None:
    """Write an answer for the workers to read."""
    fields = [field.name for field in dataclasses.fields(Tensor)]
    values = {f"{name}.{field}": getattr(tensor, field) for name, tensor in answer.items() for field in fields}
    arrays = {key: np.asarray(value) for key, value in values.items() if value is not None}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Expected:
    """Read what `save` wrote."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as stored:
        for key in stored.files:
            name, _, field = key.partition(".")
            found.setdefault(name, {})[field] = stored[key]
    return {name: Tensor(**{**parts, "length": int(parts["length"])}) for name, parts in found.items()}  # type: ignore[arg-type]
