"""A well-known mistake: the words for it, and the kinds of failure it counts as."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """What is wrong, as it follows "the formula"."""

    words: str
    """Of this problem, numbers included."""
    kinds: tuple[str, ...]
    """The same without numbers, the most particular first; see `Cause.kinds`."""

    @classmethod
    def of(cls, words: str) -> Mistake:
        """A mistake whose words hold no number of the problem."""
        return cls(words, (words,))

    def and_also(self, other: Mistake) -> Mistake:
        """Both at once, which counts as both together and as each."""
        together = f"{self.kinds[0]} and {other.kinds[0]}"
        return Mistake(f"{self.words} and {other.words}", (together, *self.kinds, *other.kinds))
