"""How far an output lies from the oracle."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def correct(self) -> bool:
        return self.error_over_bound <= 1.0
