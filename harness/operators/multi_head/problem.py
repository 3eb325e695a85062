"""The problem every implementation of the layer is given: `out = Concat(head_1 … head_h) W^O + b^O`.

head_i is attention with q = x W^Q + b^Q, k = y W^K + b^K and v = y W^V + b^V (Vaswani et al. 2017, sec. 3.2.2). A `Problem`
only describes; the arrays come from `make_inputs`, and docs/contract.md has every convention.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from harness.errors import UserError
from harness.operators import problem as base
from harness.operators.attention.problem import Problem as AttentionProblem
from harness.operators.dtypes import DTYPE_SHORT
from harness.operators.fields import check_choice, check_size

WEIGHTS = ("wq", "wk", "wv", "wo")
BIASES = ("bq", "bk", "bv", "bo")
PROJECTIONS = tuple(zip(WEIGHTS, BIASES, strict=True))
"""A projection's weight and its bias."""

CACHE = ("k_cache", "v_cache")


@dataclass(frozen=True, kw_only=True)
class Problem(base.Problem):
    """One problem of the multi-head layer.

    Shapes: x `(batch, q_len, width)`, y `(batch, kv_len, y_width)` (only where `cross`; else it is x),
    wq `(width, q_heads, head_dim)`, wk `(y_width, kv_heads, head_dim)`, wv `(y_width, kv_heads, v_head_dim)`,
    wo `(q_heads, v_head_dim, out_width)`, their biases `(q_heads, head_dim)` and so on and `(out_width,)`,
    out `(batch, q_len, out_width)`. Heads are contiguous columns of a projection.

    Raises `UserError` for sizes below one, heads that do not divide, unknown names, and fields that contradict each other.
    """

    LENGTHS: ClassVar[tuple[str, ...]] = ("q_len", "kv_len")
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "batch", "q_heads", "kv_heads", "q_len", "kv_len", "width", "head_dim", "dtype", "causal", "mask", "direction",
    )  # fmt: skip
    MORE_COLUMNS: ClassVar[tuple[str, ...]] = (
        "cross", "cache", "y_width", "v_head_dim", "out_width", "biases", "window", "softcap", "scale",
    )  # fmt: skip

    batch: int = 1
    q_heads: int = 1
    kv_heads: int = None  # type: ignore[assignment]
    """Key/value heads; query head h reads key/value head `h // (q_heads // kv_heads)`. As many as query heads by default."""
    q_len: int
    kv_len: int = None  # type: ignore[assignment]
    """Keys: positions of y, or those of the cache and of x. As many as queries, beside the cache, unless given."""
    cross: bool = False
    """Whether y is a sequence of its own."""
    cache: int = 0
    """Positions before x whose keys and values are given, projected already (inference only)."""
    width: int
    y_width: int = None  # type: ignore[assignment]
    out_width: int = None  # type: ignore[assignment]
    """Widths of y and of out; that of x unless given."""
    head_dim: int = None  # type: ignore[assignment]
    """`width // q_heads` unless given."""
    v_head_dim: int = None  # type: ignore[assignment]
    biases: bool = False
    """Whether the four projections have biases."""
    dtype: str = "float32"
    """Dtype of the arrays; sums are at least float32."""
    scale: float = None  # type: ignore[assignment]
    """What the scores are multiplied by; `1/sqrt(head_dim)` unless given."""
    softcap: float | None = None
    causal: str | None = None
    window: tuple[int, int] | None = None
    mask: str | None = None
    """softcap, causal, window and mask are those of the attention inside; see its `Problem`."""
    direction: Literal["forward", "backward"] = "forward"
    """"backward": the gradients of x, y and every weight and bias for a given gradient of out, the forward pass being
    done."""

    def __post_init__(self) -> None:
        for field in ("q_heads", "width"):
            check_size(field, getattr(self, field), 1)
        check_size("cache", self.cache)
        for field in ("cross", "biases"):
            check_choice(field, getattr(self, field), (True, False))
        self._default("y_width", self.width)
        self._default("out_width", self.width)
        self._default("head_dim", self._head_dim())
        for field in ("y_width", "out_width"):
            check_size(field, getattr(self, field), 1)
        check_size("q_len", self.q_len)
        self._default("kv_len", self.q_len + self.cache)
        self._check_self_attention()
        inner = self.attention  # Checks what it has in common with this, and knows the defaults.
        for field in ("kv_heads", "v_head_dim", "scale", "window"):
            object.__setattr__(self, field, getattr(inner, field))

    def _head_dim(self) -> int | None:
        if self.head_dim is not None or self.width % self.q_heads == 0:
            return self.head_dim or self.width // self.q_heads
        raise UserError(
            f"{self.q_heads} heads do not divide the width {self.width}; give a head_dim, or q_heads that divide the width"
        )

    def _check_self_attention(self) -> None:
        if self.cross:
            if self.cache:
                raise UserError("cross-attention has no cache: y is projected in the layer; leave out cache, or cross")
            return
        if self.kv_len != self.q_len + self.cache:
            raise UserError(
                f"self-attention of {self.q_len} positions and a cache of {self.cache} has {self.q_len + self.cache} keys, "
                f"not {self.kv_len}; leave out kv_len, or set cross = true"
            )
        if self.y_width != self.width:
            raise UserError(f"in self-attention y is x, {self.width} wide, not {self.y_width}; set cross = true")
        if self.cache and self.direction == "backward":
            raise UserError('a cache is for inference; leave out cache, or direction = "backward"')

    def _default(self, field: str, value: Any) -> None:
        if getattr(self, field) is None:
            object.__setattr__(self, field, value)

    # --- what follows from the fields ----------------------------------------------------------------

    @cached_property
    def attention(self) -> AttentionProblem:
        """The attention inside: q, k and v are the projections, the cache before those of x."""
        names = [field.name for field in dataclasses.fields(AttentionProblem)]
        shared = {name: getattr(self, name) for name in names if name in self.fields}
        return AttentionProblem(**shared)

    @property
    def projected(self) -> int:
        """Positions whose keys and values the layer projects."""
        return self.kv_len - self.cache

    @property
    def weight_shapes(self) -> dict[str, base.Shape]:
        """Weights and, where there are any, biases."""
        e, ey, eo = self.width, self.y_width, self.out_width
        h, hkv, d, dv = self.q_heads, self.kv_heads, self.head_dim, self.v_head_dim
        shapes: dict[str, base.Shape] = {"wq": (e, h, d), "wk": (ey, hkv, d), "wv": (ey, hkv, dv), "wo": (h, dv, eo)}
        if self.biases:
            shapes |= {"bq": (h, d), "bk": (hkv, d), "bv": (hkv, dv), "bo": (eo,)}
        return shapes

    @property
    def x_shapes(self) -> dict[str, base.Shape]:
        """x and, in cross-attention, y."""
        shapes: dict[str, base.Shape] = {"x": (self.batch, self.q_len, self.width)}
        return shapes | ({"y": (self.batch, self.kv_len, self.y_width)} if self.cross else {})

    @property
    def input_shapes(self) -> dict[str, base.Shape]:
        """x, y, the weights and biases; the cache and the mask where the problem has them; dout when it is backward."""
        shapes = self.x_shapes | self.weight_shapes
        if self.cache:
            past = self.batch, self.kv_heads, self.cache
            shapes |= {"k_cache": (*past, self.head_dim), "v_cache": (*past, self.v_head_dim)}
        if self.mask:
            shapes["mask"] = self.attention.mask_shape
        return shapes | ({"dout": self.out_shape} if self.direction == "backward" else {})

    @property
    def out_shape(self) -> base.Shape:
        """(batch, q_len, out_width)"""
        return self.batch, self.q_len, self.out_width

    @property
    def output_shapes(self) -> dict[str, base.Shape]:
        """out, or the gradients dx, dy, dwq, … dbo of everything that has one."""
        if self.direction == "forward":
            return {"out": self.out_shape}
        return {f"d{name}": shape for name, shape in (self.x_shapes | self.weight_shapes).items()}

    def _bytes(self, name: str, shape: base.Shape) -> int:
        return math.prod(shape) if name == "mask" else super()._bytes(name, shape)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products: the four projections, and attention's own.

        Backward: for each projection the gradients of its input and of its weights, and those of attention.
        """
        of_x = self.q_len * self.q_heads * (self.width * self.head_dim + self.v_head_dim * self.out_width)
        of_y = self.projected * self.kv_heads * self.y_width * (self.head_dim + self.v_head_dim)
        products = 2 * self.batch * (of_x + of_y)
        return products * (1 if self.direction == "forward" else 2) + self.attention.flops

    @property
    def least_share(self) -> float:
        """Padding spares at most half of the keys, and other masks no more of the products of whole tiles."""
        return 0.5 if self.mask else 1.0

    @property
    def usually_cold(self) -> bool:
        """A decoding step reads keys and values that the layers between have pushed out of the caches."""
        return self.q_len == 1 and self.cache > 0

    @property
    def dense_flops(self) -> int:
        """The same with every pair admitted: the work of an implementation that skips nothing."""
        return self.flops - self.attention.flops + self.attention.dense_flops

    @property
    def intermediate_elements(self) -> int:
        """Those of the full score matrix."""
        return self.attention.score_elements

    def replace(self, **changes: Any) -> Self:
        """This problem with some fields changed. A default scale follows the head size; the keys of self-attention follow
        the positions and the cache."""
        if "head_dim" in changes and "scale" not in changes and self.scale == 1.0 / math.sqrt(self.head_dim):
            changes["scale"] = None
        if not changes.get("cross", self.cross) and changes.keys() & {"q_len", "cache"} and "kv_len" not in changes:
            changes["kv_len"] = None
        return super().replace(**changes)

    @property
    def name(self) -> str:
        """Readable and unique, such as `b8h12q128d64w768-f32-biases-padding`."""
        inner = self.attention
        y = f"y{self.y_width}" if self.y_width != self.width else ""
        o = f"o{self.out_width}" if self.out_width != self.width else ""
        keys = f"k{self.kv_len}" if self.cross else ""
        heads, _, features = inner.name.partition(f"-{DTYPE_SHORT[self.dtype]}")
        sizes = heads.replace(f"k{self.kv_len}d", f"{keys}d") + f"w{self.width}{y}{o}"
        own = [sizes, DTYPE_SHORT[self.dtype]]
        own += ["cross"] * self.cross + [f"cache{self.cache}"] * bool(self.cache) + ["biases"] * self.biases
        return "-".join(own) + features
