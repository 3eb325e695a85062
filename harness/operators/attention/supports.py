"""What of the contract an implementation of attention does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import UserError
from harness.errors.declared import Words, check_callable, check_flag, check_reasons, check_words
from harness.operators.attention.problem import CAUSAL, Problem
from harness.operators.dtypes import DTYPE_SHORT, DTYPES

_DTYPE_WORDS = Words("dtype", tuple(DTYPES), "float32")
_CAUSAL_WORDS = Words("causal alignment", CAUSAL, "top-left", may_be_empty=True)


@dataclass(frozen=True, kw_only=True)
class Supports:
    """What of the contract an implementation does. Undeclared means unsupported, and the case is reported so.

    A field named in `because` replaces the standard sentence with the reason behind the gap. `also` may add reasons of
    its own for a problem (an empty list when there are none).
    """

    dtypes: Sequence[str] = ("float32",)
    causal: Sequence[str] = ()
    """Which alignments: "top-left", "bottom-right". They are one where there are as many keys as queries."""
    window: bool = False
    mask: bool = False
    bias: bool = False
    softcap: bool = False
    grouped_heads: bool = False
    v_head_dim: bool = False
    """Values of another width than queries and keys."""
    gradients: bool = False
    because: Mapping[str, str] = field(default_factory=dict)
    also: Callable[[Problem], list[str]] | None = None

    def refusals(self, problem: Problem) -> list[str]:
        """Why `problem` is not supported, a phrase each; empty when it is."""
        asked = {
            "dtypes": (problem.dtype not in self.dtypes, f"no {problem.dtype}"),
            "causal": (not self._aligns(problem), f"no causal mask aligned {problem.causal}"),
            "window": (problem.window is not None and not self.window, "no attention window"),
            "mask": (problem.mask is not None and not self.mask, "no boolean mask"),
            "bias": (problem.bias is not None and not self.bias, "no bias"),
            "softcap": (problem.softcap is not None and not self.softcap, "no softcap"),
            "grouped_heads": (problem.group > 1 and not self.grouped_heads, "no grouped heads"),
            "v_head_dim": (
                problem.v_head_dim != problem.head_dim and not self.v_head_dim,
                "values must be as wide as keys",
            ),
            "gradients": (problem.direction == "backward" and not self.gradients, "no gradients"),
        }
        reasons = [self.because.get(name, phrase) for name, (refused, phrase) in asked.items() if refused]
        return reasons + (self._further(problem) if self.also else [])

    def _further(self, problem: Problem) -> list[str]:
        assert self.also is not None
        reasons = self.also(problem)
        if not isinstance(reasons, list | tuple):
            raise UserError(f"also must return a list of reasons, not {reasons!r}; return [] where there are none")
        return list(reasons)

    def check(self, owner: str) -> None:
        """Raise `UserError` for a word or value that says nothing; `owner` is the implementation's name."""
        check_words(owner, "dtypes", self.dtypes, _DTYPE_WORDS)
        check_words(owner, "causal", self.causal, _CAUSAL_WORDS)
        for flag in _FLAGS:
            check_flag(owner, flag, getattr(self, flag))
        check_reasons(owner, "because", self.because, "mask", _FIELD_WORDS)
        check_callable(owner, "also", self.also, "of a problem that returns a list of reasons")

    def _aligns(self, problem: Problem) -> bool:
        if problem.causal is None or problem.causal in self.causal:
            return True
        return bool(self.causal) and problem.q_len == problem.kv_len

    def summary(self) -> str:
        """One line for `harness list`: what is supported, or what is not where that is shorter."""
        present = [DTYPE_SHORT[d] for d in DTYPES if d in self.dtypes]
        absent = [DTYPE_SHORT[d] for d in DTYPES if d not in self.dtypes]
        for alignment in CAUSAL:
            (present if alignment in self.causal else absent).append(f"causal {alignment}")
        for name in _FLAGS:
            (present if getattr(self, name) else absent).append(_FLAGS[name])
        if not absent:
            return "everything"
        return f"all but {', '.join(absent)}" if len(absent) < len(present) else ", ".join(present)


_FLAGS = {
    "window": "window",
    "mask": "mask",
    "bias": "bias",
    "softcap": "softcap",
    "grouped_heads": "grouped heads",
    "v_head_dim": "v_head_dim ≠ head_dim",
    "gradients": "gradients",
}

_FIELD_WORDS = Words("field of Supports", ("dtypes", "causal", *_FLAGS), "mask")

EVERYTHING = Supports(
    dtypes=tuple(DTYPES),
    causal=CAUSAL,
    window=True,
    mask=True,
    bias=True,
    softcap=True,
    grouped_heads=True,
    v_head_dim=True,
    gradients=True,
)
"""The whole contract; `dataclasses.replace` takes away from it."""
