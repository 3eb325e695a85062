"""A problem as a record holds it: what it was and what it is called, without the operator that can pose it again."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.records.typed import is_whole


@dataclass(frozen=True)
class PosedProblem:
    """One problem of an operator."""

    operator: str
    name: str
    """Readable and unique among the operator's problems."""
    fields: Mapping[str, Any]
    """What the operator poses it from: plain values by name, lists as tuples."""
    columns: tuple[str, ...]
    """The fields that are columns of results.csv, beside its name."""
    more_columns: tuple[str, ...]
    """Those that stand behind what is measured."""
    lengths: tuple[str, ...]
    """The fields that problems of one family differ in."""
    flops: int
    bytes: int
    """The fewest that can be moved."""
    least_share: float = 1.0
    """Of `flops` and `bytes`, what no implementation can do without."""

    def __post_init__(self) -> None:
        for name in ("dtype", *self.columns, *self.more_columns, *self.lengths):
            if name not in self.fields:
                raise ValueError(f"a problem has no field {name!r}")
        wrong = [name for name, value in self.fields.items() if not self._may_be(name, value)]
        if wrong:
            raise ValueError(f"a problem's field {wrong[0]!r} is {reprlib.repr(self.fields[wrong[0]])}")

    def _may_be(self, name: str, value: Any) -> bool:
        """Whether reports can count on the value of a field."""
        if name == "dtype":
            return isinstance(value, str)
        if name == "batch" or name in self.lengths:
            return is_whole(value)
        return all(one is None or isinstance(one, str | float | bool) or is_whole(one) for one in _items(value))

    def __hash__(self) -> int:
        return hash((self.operator, self.name))

    def column(self, name: str) -> Any:
        """The value of a field in a column; the items of a tuple stand beside each other."""
        value = self.fields[name]
        return ",".join(map(str, value)) if isinstance(value, tuple) else value

    @property
    def dtype(self) -> str:
        return self.fields["dtype"]

    @property
    def family(self) -> tuple[tuple[str, Any], ...]:
        """The fields that stay the same along a curve: all but the lengths, and numbers that follow from them."""
        return tuple((name, value) for name, value in self.fields.items() if name not in self.lengths)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PosedProblem:
        """The problem that `to_json` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        values = dict(data)
        values["fields"] = {name: _hashable(value) for name, value in values["fields"].items()}
        for name in ("columns", "more_columns", "lengths"):
            values[name] = tuple(values[name])
        return cls(**values)


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
