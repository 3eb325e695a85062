"""What every operator's problem tells of itself."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from harness.errors import UserError
from harness.operators.dtypes import DTYPES
from harness.records.problem import PosedProblem

Shape = tuple[int, ...]


class Problem(ABC):
    """One problem of an operator. A subclass is a frozen dataclass, its fields are plain values, and it holds no arrays.

    It has a field `dtype`, that of inputs and outputs, and may have a field `direction`, "forward" or "backward".
    """

    dtype: str
    direction: str = "forward"

    LENGTHS: ClassVar[tuple[str, ...]] = ()
    """The fields that problems of one family differ in."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("dtype",)
    """What of it are columns of results.csv, beside its name."""

    MORE_COLUMNS: ClassVar[tuple[str, ...]] = ()
    """More of them, which stand behind what is measured."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Readable and unique among the operator's problems."""

    @property
    @abstractmethod
    def input_shapes(self) -> Mapping[str, Shape]:
        """The shapes of the arrays that an implementation is given, by name; those that are always there come first."""

    @property
    @abstractmethod
    def output_shapes(self) -> Mapping[str, Shape]:
        """The shapes of what it returns, by name, in order. All have the problem's dtype."""

    @property
    @abstractmethod
    def flops(self) -> int:
        """Floating-point operations of the definition, such as a rate is computed from."""

    @property
    def dense_flops(self) -> int:
        """The operations of an implementation that skips nothing: what times grow with."""
        return self.flops

    @property
    def intermediate_elements(self) -> int:
        """Elements of the largest array that the definition goes through and an implementation may avoid; 0 for none."""
        return 0

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs."""
        return sum(self._bytes(name, shape) for name, shape in self.input_shapes.items())

    @property
    def output_bytes(self) -> int:
        """Bytes of all outputs."""
        return _elements(self.output_shapes.values()) * DTYPES[self.dtype]

    @property
    def bytes(self) -> int:
        """The fewest bytes that can be moved: every input read once, every output written once."""
        return self.input_bytes + self.output_bytes

    @property
    def least_share(self) -> float:
        """Of `flops` and `bytes`, what no implementation can do without: masks may spare it some that they count."""
        return 1.0

    @property
    def usually_cold(self) -> bool:
        """Whether its inputs lie in memory, and not in a cache, where it is used."""
        return False

    @property
    def fields(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def replace(self, **changes: Any) -> Self:
        """This problem with some fields changed. Raises `UserError` for a field that it does not have."""
        for name in changes:
            if name not in self.fields:
                raise UserError(
                    f"{self.name} has no {name} that could be {changes[name]!r}; it has {', '.join(self.fields)}"
                )
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def posed(self, operator: str) -> PosedProblem:
        """The problem as a record holds it."""
        return PosedProblem(
            operator=operator,
            name=self.name,
            fields=self.fields,
            columns=self.COLUMNS,
            more_columns=self.MORE_COLUMNS,
            lengths=self.LENGTHS,
            flops=self.flops,
            bytes=self.bytes,
            least_share=self.least_share,
        )

    def _bytes(self, name: str, shape: Shape) -> int:
        """Bytes of an input; of the problem's dtype unless a subclass knows better."""
        return math.prod(shape) * DTYPES[self.dtype]


def _elements(shapes: Iterable[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes)
