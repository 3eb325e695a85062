"""Why an output is wrong, as far as it tells."""

from __future__ import annotations

from dataclasses import dataclass

OUTSIDE = "outside its bound"
"""The kind of a failure that nothing else is told of."""


@dataclass(frozen=True)
class Cause:
    """What one wrong output tells of its cause."""

    kinds: tuple[str, ...]
    """Phrases without numbers, indices or shapes, by which failures are grouped; the most particular first.

    There are several where several mistakes give this output, and where a phrase includes a more general one: the tally
    takes those that explain most failures.
    """
    text: str = ""
    """A sentence or two on this case; empty where nothing is told beyond the finding."""
    may_be: tuple[str, ...] = ()
    """Kinds that this failure alone does not show, and may belong to when others show them: its errors are of their size,
    or it equals so many mistakes that it tells nothing of any."""
