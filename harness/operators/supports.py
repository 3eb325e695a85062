"""What of an operator's contract an implementation does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.errors import UserError
from harness.errors.declared import Words, check_callable, check_flag, check_reasons, check_words
from harness.operators.dtypes import DTYPE_SHORT, DTYPES
from harness.operators.problem import Problem

_DTYPE_WORDS = Words("dtype", tuple(DTYPES), "float32")


@dataclass(frozen=True, kw_only=True)
class Supports:
    """What an implementation does. Undeclared means unsupported, and the case is reported so.

    A field named in `reasons` has its standard phrase replaced by the reason behind the gap. `extra_check` may add reasons
    of its own for a problem (an empty list when there are none). An operator with features of its own adds fields.
    """

    FLAGS: ClassVar[Mapping[str, str]] = {"gradients": "gradients"}
    """Fields that are True or False, with the words for them."""

    EXAMPLE: ClassVar[str] = "gradients"
    """A field, for messages that show how one is written."""

    dtypes: Sequence[str] = ("float32",)
    gradients: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
    extra_check: Callable[[Any], list[str]] | None = None

    def lacks(self, problem: Any) -> Iterator[tuple[str, bool, str]]:
        """(field, whether the problem needs more than it declares, the standard phrase)."""
        yield "dtypes", problem.dtype not in self.dtypes, f"no {problem.dtype}"
        yield "gradients", problem.direction == "backward" and not self.gradients, "no gradients"

    def unsupported_reasons(self, problem: Problem) -> list[str]:
        """Why `problem` is not supported, a phrase each; empty when it is."""
        reasons = [self.reasons.get(name, phrase) for name, refused, phrase in self.lacks(problem) if refused]
        return reasons + (self._further(problem) if self.extra_check else [])

    def _further(self, problem: Problem) -> list[str]:
        assert self.extra_check is not None
        reasons = self.extra_check(problem)
        if not isinstance(reasons, list | tuple):
            raise UserError(f"extra_check must return a list of reasons, not {reasons!r}; return [] where there are none")
        return list(reasons)

    def validate(self, owner: str) -> None:
        """Raise `UserError` for a word or value that says nothing; `owner` is the implementation's name."""
        check_words(owner, "dtypes", self.dtypes, _DTYPE_WORDS)
        for flag in self.FLAGS:
            check_flag(owner, flag, getattr(self, flag))
        fields = tuple(dict.fromkeys(name for name, _, _ in self.features()))
        check_reasons(owner, "reasons", self.reasons, self.EXAMPLE, Words("field of Supports", fields, self.EXAMPLE))
        check_callable(owner, "extra_check", self.extra_check, "of a problem that returns a list of reasons")

    def features(self) -> Iterator[tuple[str, str, bool]]:
        """(field, words, whether it is supported) of everything that can be declared, in order."""
        for dtype, short in DTYPE_SHORT.items():
            yield "dtypes", short, dtype in self.dtypes
        for name, words in self.FLAGS.items():
            yield name, words, getattr(self, name)

    def summary(self) -> str:
        """One line for `harness list`: what is supported, or what is not where that is shorter."""
        present = [words for _, words, supported in self.features() if supported]
        absent = [words for _, words, supported in self.features() if not supported]
        if not absent:
            return "everything"
        return f"all but {', '.join(absent)}" if len(absent) < len(present) else ", ".join(present)
