"""What of the contract an implementation of the layer does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.errors.declared import check_words
from harness.operators import supports as base
from harness.operators.attention.problem import CAUSAL
from harness.operators.attention.supports import CAUSAL_WORDS
from harness.operators.dtypes import DTYPES
from harness.operators.multi_head.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Supports(base.Supports):
    """What of the contract an implementation does. Undeclared means unsupported, and the case is reported so.

    A field named in `reasons` has its standard phrase replaced by the reason behind the gap. `extra_check` may add reasons
    of its own for a problem (an empty list when there are none).
    """

    FLAGS: ClassVar[Mapping[str, str]] = {
        "window": "window",
        "mask": "mask",
        "softcap": "softcap",
        "scale": "scale",
        "biases": "biases",
        "cross": "cross-attention",
        "y_width": "y_width ≠ width",
        "out_width": "out_width ≠ width",
        "head_dim": "head_dim ≠ width / heads",
        "v_head_dim": "v_head_dim ≠ head_dim",
        "grouped_heads": "grouped heads",
        "cache": "cache",
        "gradients": "gradients",
    }
    EXAMPLE: ClassVar[str] = "mask"

    causal: Sequence[str] = ()
    """Which alignments: "top-left", "bottom-right". They are one where there are as many keys as queries."""
    window: bool = False
    mask: bool = False
    softcap: bool = False
    scale: bool = False
    """Another scale than 1/√head_dim."""
    biases: bool = False
    cross: bool = False
    y_width: bool = False
    out_width: bool = False
    head_dim: bool = False
    v_head_dim: bool = False
    grouped_heads: bool = False
    cache: bool = False

    def lacks(self, problem: Problem) -> Iterator[tuple[str, bool, str]]:
        """(field, whether the problem needs more than it declares, the standard phrase)."""
        dtypes, gradients = super().lacks(problem)
        yield dtypes
        aligned = (
            problem.causal is None or problem.causal in self.causal or (self.causal and problem.q_len == problem.kv_len)
        )
        yield "causal", not aligned, f"no causal mask aligned {problem.causal}"
        for field, needed, phrase in (
            ("window", problem.window is not None, "no attention window"),
            ("mask", problem.mask is not None, "no boolean mask"),
            ("softcap", problem.softcap is not None, "no softcap"),
            ("scale", problem.scale != problem.replace(scale=None).scale, "no scale but 1/√head_dim"),
            ("biases", problem.biases, "no biases"),
            ("cross", problem.cross, "no cross-attention"),
            ("y_width", problem.y_width != problem.width, "y must be as wide as x"),
            ("out_width", problem.out_width != problem.width, "out must be as wide as x"),
            ("head_dim", problem.head_dim * problem.q_heads != problem.width, "heads must share out the width"),
            ("v_head_dim", problem.v_head_dim != problem.head_dim, "values must be as wide as keys"),
            ("grouped_heads", problem.q_heads != problem.kv_heads, "no grouped heads"),
            ("cache", problem.cache > 0, "no cache"),
        ):
            yield field, needed and not getattr(self, field), phrase
        yield gradients

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


_ALL: dict[str, Any] = dict.fromkeys(Supports.FLAGS, True)

EVERYTHING = Supports(dtypes=tuple(DTYPES), causal=CAUSAL, **_ALL)
"""The whole contract; `dataclasses.replace` takes away from it."""
