"""The problem every implementation is given: `o = softmax(scale * q kᵀ + bias, masked) v`, per batch and head.

The conventions (alignment of causal masks, polarity of boolean ones, rows with nothing to attend to, the order of the
steps) are set down in docs/contract.md. A `Problem` only describes; the arrays come from `make_inputs`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from harness.errors import UserError
from harness.operators import problem as base
from harness.operators.dtypes import DIRECTIONS, DTYPE_SHORT, DTYPES
from harness.operators.fields import check_choice, check_size

CAUSAL = ("top-left", "bottom-right")
LAYOUTS = ("BHSD", "BSHD")
"""Orders of the axes of q, k, v and o: batch, head, sequence, dim."""

AXES = {
    name: ("batch element", "head", "query" if name in ("o", "dq") else "key", "column") for name in ("o", "dq", "dk", "dv")
}
"""Words for the axes of each output."""

MASK_KINDS = ("padding", "random", "empty-rows")
BIAS_KINDS = ("normal", "blocking", "lowest")

_SIZES = ("batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim")
_AT_LEAST_ONE = ("q_heads", "kv_heads", "head_dim", "v_head_dim")
_FORM = re.compile(r"(([b1]?[h1])?[q1])?[k1]")


@dataclass(frozen=True, kw_only=True)
class Problem(base.Problem):
    """One attention problem, in the canonical layout.

    Shapes: q `(batch, q_heads, q_len, head_dim)`, k `(batch, kv_heads, kv_len, head_dim)`,
    v `(batch, kv_heads, kv_len, v_head_dim)`, o `(batch, q_heads, q_len, v_head_dim)`.

    Raises `UserError` for sizes below zero, heads that do not divide, and unknown names.
    """

    LENGTHS: ClassVar[tuple[str, ...]] = ("q_len", "kv_len")
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim", "dtype", "causal", "mask", "direction",
    )  # fmt: skip
    MORE_COLUMNS: ClassVar[tuple[str, ...]] = ("window", "bias", "softcap", "scale")

    batch: int = 1
    q_heads: int = 1
    kv_heads: int = None  # type: ignore[assignment]
    """Key/value heads; query head h reads key/value head `h // (q_heads // kv_heads)`. As many as query heads by default."""
    q_len: int
    kv_len: int = None  # type: ignore[assignment]
    """Keys; as many as queries unless given."""
    head_dim: int
    v_head_dim: int = None  # type: ignore[assignment]
    """Width of the values; `head_dim` unless given."""
    dtype: str = "float32"
    """Dtype of q, k, v and o; scores and sums are at least float32."""
    scale: float = None  # type: ignore[assignment]
    """What the scores are multiplied by; `1/sqrt(head_dim)` unless given."""
    softcap: float | None = None
    """c > 0: the scaled scores become `c * tanh(s / c)`, before bias and mask."""
    causal: str | None = None
    """"top-left": query i sees key j when `j <= i`; "bottom-right": when `j <= i + kv_len - q_len`."""
    window: tuple[int, int] | None = None
    """(left, right): keys so far before and after the (causal) diagonal are seen; -1 is unbounded."""
    mask: str | None = None
    """Boolean mask, True = may attend: "padding", "random-FORM" or "empty-rows-FORM" (see `make_inputs`)."""
    bias: str | None = None
    """Added to the scaled scores: "normal-FORM", "blocking-FORM" or "lowest-FORM" (see `make_inputs`)."""
    direction: Literal["forward", "backward"] = "forward"
    """"backward": the work is dq, dk, dv for a given do, the forward pass being done already."""

    def __post_init__(self) -> None:
        self._default("kv_heads", self.q_heads)
        self._default("kv_len", self.q_len)
        self._default("v_head_dim", self.head_dim)
        for field in _SIZES:
            check_size(field, getattr(self, field), least=1 if field in _AT_LEAST_ONE else 0)
        if self.q_heads % self.kv_heads:
            raise UserError(
                f"{self.kv_heads} key/value heads do not divide {self.q_heads} query heads; "
                "kv_heads must be a divisor of q_heads"
            )
        self._default("scale", 1.0 / math.sqrt(self.head_dim))
        if isinstance(self.window, list):
            object.__setattr__(self, "window", tuple(self.window))
        self._check_numbers()
        check_choice("dtype", self.dtype, tuple(DTYPES))
        check_choice("direction", self.direction, DIRECTIONS)
        if self.causal is not None:
            check_choice("causal", self.causal, CAUSAL)
        for field, kinds in (("mask", MASK_KINDS), ("bias", BIAS_KINDS)):
            value = getattr(self, field)
            if value is not None:
                broadcast_form(value, kinds)

    def _default(self, field: str, value: Any) -> None:
        if getattr(self, field) is None:
            object.__setattr__(self, field, value)

    def _check_numbers(self) -> None:
        for field in ("scale", "softcap"):
            value = getattr(self, field)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise UserError(f"{field} must be a number, not {value!r}")
        if not math.isfinite(self.scale):
            raise UserError(f"scale must be finite, not {self.scale!r}")
        if self.softcap is not None and not 0 < self.softcap < math.inf:
            raise UserError(f"softcap must be above zero, not {self.softcap!r}; leave it out for none")
        window: Any = self.window
        if window is None:
            return
        if not isinstance(window, tuple) or len(window) != 2 or not all(type(n) is int and n >= -1 for n in window):
            raise UserError(f"window must be two whole numbers of at least -1, (left, right), not {window!r}")

    # --- what follows from the fields ----------------------------------------------------------------

    @property
    def group(self) -> int:
        """Query heads that share one key/value head."""
        return self.q_heads // self.kv_heads

    @property
    def q_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.q_heads, self.q_len, self.head_dim

    @property
    def k_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.kv_heads, self.kv_len, self.head_dim

    @property
    def v_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.kv_heads, self.kv_len, self.v_head_dim

    @property
    def o_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.q_heads, self.q_len, self.v_head_dim

    @property
    def band(self) -> tuple[int, int]:
        """(low, high): causality and window together let query i see key j when `low <= j - i <= high`.

        Without either, the bounds lie beyond every key.
        """
        diagonal = self.kv_len - self.q_len if self.causal == "bottom-right" else 0
        low, high = -self.q_len, self.kv_len
        if self.causal:
            high = min(high, diagonal)
        if self.window:
            left, right = self.window
            low = max(low, diagonal - left) if left >= 0 else low
            high = min(high, diagonal + right) if right >= 0 else high
        return low, high

    @property
    def banded(self) -> bool:
        """Whether causality or a window hides any key from any query."""
        return bool(self.causal or self.window)

    def visible(self, i: int) -> range:
        """The keys that causality and window let query `i` see; masks and biases may block more."""
        low, high = self.band
        return range(max(0, i + low), max(0, min(self.kv_len, i + high + 1)))

    @property
    def may_have_empty_rows(self) -> bool:
        """Whether some query may have nothing to attend to (its output is then zero)."""
        if self.kv_len == 0 or self.mask or (self.bias or "").startswith("blocking"):
            return True
        return self.banded and any(len(self.visible(i)) == 0 for i in (0, self.q_len - 1))

    @cached_property
    def pairs(self) -> int:
        """(query, key) pairs of one head that causality and window admit; boolean masks are not counted out."""
        if not self.banded:
            return self.q_len * self.kv_len
        return sum(len(self.visible(i)) for i in range(self.q_len))

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products, over the pairs that causality and window admit.

        Forward: q kᵀ and p v. Backward (Dao et al. 2022, alg. 4): q kᵀ again, do vᵀ, pᵀ do, ds k and dsᵀ q.
        """
        d, dv = self.head_dim, self.v_head_dim
        per_pair = 2 * (d + dv) if self.direction == "forward" else 2 * (3 * d + 2 * dv)
        return self.batch * self.q_heads * self.pairs * per_pair

    @property
    def least_share(self) -> float:
        """Padding spares at most half of the keys, and other masks no more of the products of whole tiles."""
        return 0.5 if self.mask or self.bias else 1.0

    @property
    def usually_cold(self) -> bool:
        """A decoding step reads keys and values that the layers between have pushed out of the caches."""
        return self.q_len == 1 < self.kv_len and self.direction == "forward"

    @property
    def dense_flops(self) -> int:
        """The same with every pair admitted: the work of an implementation that skips nothing."""
        return dataclasses.replace(self, causal=None, window=None).flops

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """q, k and v; the mask and the bias where the problem has them; do when the direction is backward."""
        shapes: dict[str, tuple[int, ...]] = {"q": self.q_shape, "k": self.k_shape, "v": self.v_shape}
        if self.mask:
            shapes["mask"] = self.mask_shape
        if self.bias:
            shapes["bias"] = self.bias_shape
        return shapes | ({"do": self.o_shape} if self.direction == "backward" else {})

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """o, or dq, dk and dv."""
        if self.direction == "forward":
            return {"o": self.o_shape}
        return {"dq": self.q_shape, "dk": self.k_shape, "dv": self.v_shape}

    def _bytes(self, name: str, shape: tuple[int, ...]) -> int:
        return math.prod(shape) if name == "mask" else super()._bytes(name, shape)

    @property
    def bytes(self) -> int:
        """The fewest bytes that can be moved: every input read once, every output written once."""
        forward_result = math.prod(self.o_shape) * DTYPES[self.dtype] if self.direction == "backward" else 0
        return super().bytes + forward_result

    @property
    def score_elements(self) -> int:
        """Elements of the full score matrix, `batch * q_heads * q_len * kv_len`."""
        return self.batch * self.q_heads * self.q_len * self.kv_len

    @property
    def intermediate_elements(self) -> int:
        """Those of the full score matrix."""
        return self.score_elements

    @property
    def mask_shape(self) -> tuple[int, ...]:
        return self._broadcast_shape(self.mask, MASK_KINDS)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return self._broadcast_shape(self.bias, BIAS_KINDS)

    def _broadcast_shape(self, spec: str | None, kinds: tuple[str, ...]) -> tuple[int, ...]:
        if spec is None:
            raise UserError("this problem has none")
        sizes = {"b": self.batch, "h": self.q_heads, "q": self.q_len, "k": self.kv_len, "1": 1}
        return tuple(sizes[letter] for letter in broadcast_form(spec, kinds)[1])

    @property
    def name(self) -> str:
        """Readable and unique, such as `b1h8q2048k2048d64-f32-causal`."""
        kv = f"kv{self.kv_heads}" if self.kv_heads != self.q_heads else ""
        dv = f"v{self.v_head_dim}" if self.v_head_dim != self.head_dim else ""
        parts = [f"b{self.batch}h{self.q_heads}{kv}q{self.q_len}k{self.kv_len}d{self.head_dim}{dv}"]
        parts.append(DTYPE_SHORT[self.dtype])
        if self.causal:
            plain = self.causal == "top-left" and self.q_len == self.kv_len
            parts.append("causal" if plain else f"causal-{self.causal}")
        if self.window:
            parts.append("window{}_{}".format(*("inf" if n < 0 else n for n in self.window)))
        if self.mask:
            parts.append(self.mask if self.mask == "padding" else f"mask-{self.mask}")
        if self.bias:
            parts.append(f"bias-{self.bias}")
        if self.softcap is not None:
            parts.append(f"softcap{_shortest(self.softcap)}")
        if self.scale != 1.0 / math.sqrt(self.head_dim):
            parts.append(f"scale{_shortest(self.scale)}")
        if self.direction == "backward":
            parts.append("backward")
        return "-".join(parts)

    def replace(self, **changes: Any) -> Self:
        """This problem with some fields changed. A default scale follows the head size."""
        if "head_dim" in changes and "scale" not in changes and self.scale == 1.0 / math.sqrt(self.head_dim):
            changes["scale"] = None
        return super().replace(**changes)


def broadcast_form(spec: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    """Split "random-b1qk" into its kind and its broadcast form, the axes from the right: k, q, h, b; 1 is broadcast.

    "padding" alone has the form b11k. Raises `UserError` for anything else.
    """
    if spec == "padding" and "padding" in kinds:
        return "padding", "b11k"
    kind, _, form = spec.rpartition("-") if isinstance(spec, str) else ("", "", "")
    if kind not in kinds or kind == "padding" or not form or not _FORM.fullmatch(form):
        known = ", ".join("padding" if k == "padding" else f"{k}-FORM" for k in kinds)
        raise UserError(f"{spec!r} is not one of {known} with a FORM such as bhqk, 11qk or k (1 = broadcast)")
    if kind == "empty-rows" and not set(form) & set("bhq"):
        raise UserError(f"{spec!r}: a mask with empty rows needs an axis of its own for them, b, h or q, in its form")
    return kind, form


def _shortest(number: float) -> str:
    """A number in the fewest digits that tell it from every other."""
    return repr(float(number)).removesuffix(".0")
