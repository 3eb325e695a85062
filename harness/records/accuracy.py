"""How far an output lies from the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.records.strict_json import number


@dataclass(frozen=True)
class Accuracy:
    """How far an output lies from the float64 oracle."""

    max_abs_error: float
    """Largest absolute difference over the checked elements; infinite when the output holds a nan."""
    error_over_bound: float
    """Largest ratio of that difference to the derived bound of its element; at most 1 when correct."""
    elements: int
    """How many elements were compared."""
    worst: str = ""
    """Where the largest ratio lies, such as "o[0, 3, 17, 5]"; empty when nothing differs."""
    worst_bound: float = 0.0
    """The bound of that element."""
    worst_error: float = 0.0
    """The absolute difference of that element; infinite where it is not a number."""
    worst_undefined: bool = False
    """Whether the formula gives nan there, and the output a number."""

    share: float = 1.0
    """Of the rows, how many were compared at least once."""

    @property
    def correct(self) -> bool:
        return self.error_over_bound <= 1.0

    @classmethod
    def from_json(cls, **data: Any) -> Accuracy:
        """What was written of it. Raises `ValueError` or `TypeError` for anything else."""
        numbers = ("max_abs_error", "error_over_bound", "worst_bound", "worst_error", "share")
        values: dict[str, Any] = {name: number(value) if name in numbers else value for name, value in data.items()}
        return cls(**values)
