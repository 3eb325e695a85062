"""What of the contract an implementation of attention does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.errors.declared import Words, check_words
from harness.operators import supports as base
from harness.operators.attention.problem import CAUSAL, Problem
from harness.operators.dtypes import DTYPES

CAUSAL_WORDS = Words("causal alignment", CAUSAL, "top-left", may_be_empty=True)


@dataclass(frozen=True, kw_only=True)
class Supports(base.Supports):
    """What of the contract an implementation does. Undeclared means unsupported, and the case is reported so.

    A field named in `reasons` has its standard phrase replaced by the reason behind the gap. `extra_check` may add reasons
    of its own for a problem (an empty list when there are none).
    """

    FLAGS: ClassVar[Mapping[str, str]] = {
        "window": "window",
        "mask": "mask",
        "bias": "bias",
        "softcap": "softcap",
        "grouped_heads": "grouped heads",
        "v_head_dim": "v_head_dim ≠ head_dim",
        "gradients": "gradients",
    }
    EXAMPLE: ClassVar[str] = "mask"

    causal: Sequence[str] = ()
    """Which alignments: "top-left", "bottom-right". They are one where there are as many keys as queries."""
    window: bool = False
    mask: bool = False
    bias: bool = False
    softcap: bool = False
    grouped_heads: bool = False
    v_head_dim: bool = False
    """Values of another width than queries and keys."""

    def lacks(self, problem: Problem) -> Iterator[tuple[str, bool, str]]:
        """(field, whether the problem needs more than it declares, the standard phrase)."""
        dtypes, gradients = super().lacks(problem)
        yield dtypes
        yield "causal", not self._aligns(problem), f"no causal mask aligned {problem.causal}"
        yield "window", problem.window is not None and not self.window, "no attention window"
        yield "mask", problem.mask is not None and not self.mask, "no boolean mask"
        yield "bias", problem.bias is not None and not self.bias, "no bias"
        yield "softcap", problem.softcap is not None and not self.softcap, "no softcap"
        yield "grouped_heads", problem.group > 1 and not self.grouped_heads, "no grouped heads"
        wider = problem.v_head_dim != problem.head_dim
        yield "v_head_dim", wider and not self.v_head_dim, "values must be as wide as keys"
        yield gradients

    def _aligns(self, problem: Problem) -> bool:
        if problem.causal is None or problem.causal in self.causal:
            return True
        return bool(self.causal) and problem.q_len == problem.kv_len

    def validate(self, owner: str) -> None:
        """Raise `UserError` for a word or value that says nothing; `owner` is the implementation's name."""
        check_words(owner, "causal", self.causal, CAUSAL_WORDS)
        super().validate(owner)

    def features(self) -> Iterator[tuple[str, str, bool]]:
        """(field, words, whether it is supported) of everything that can be declared, in order."""
        every = list(super().features())
        yield from every[: len(DTYPES)]
        yield from (("causal", f"causal {alignment}", alignment in self.causal) for alignment in CAUSAL)
        yield from every[len(DTYPES) :]


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
