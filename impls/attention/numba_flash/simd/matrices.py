"""Matrices as micro-kernels take them: an address, and the elements or bytes from one row to the next."""

from typing import NamedTuple


class Strided(NamedTuple):
    """A matrix that is read one element at a time: element [r, k] at `address` + r `row` + k `step`."""

    address: int
    row: int
    step: int


class Rows(NamedTuple):
    """A matrix with contiguous rows, which are read as vectors."""

    address: int
    row: int


class Target(NamedTuple):
    """The matrix that a product goes to: added to it, or in its place."""

    address: int
    row: int
    add: bool


class Shape(NamedTuple):
    """Of a tile of scores: keys, and vectors of queries."""

    rows: int
    vectors: int


class Form(NamedTuple):
    """The type that is computed with and the type in which an operand is stored, as numbers of these types.

    int16 is bfloat16, uint16 float16, None the type that is computed with.
    """

    kind: float
    stored: int | float | None
