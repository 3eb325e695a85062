"""The multi-head layer in Keras, on any backend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from harness.layers import checks

_PARTS = ("query", "key", "value", "output")


@keras.saving.register_keras_serializable(package="attention_harness")
class MultiHeadAttention(keras.layers.Layer):
    """Concat(head_1 … head_h) W^O with head_i = Attention(x W^Q_i, y W^K_i, y W^V_i). Vaswani et al. 2017, sec. 3.2.2.

    `layer(x)` is self-attention, `layer(x, y)` cross-attention: x `(batch, length, width)`, y `(batch, keys, y_width)`, the
    result `(batch, length, output_width)`. `attention_mask` is boolean, True where a query may attend, and broadcastable to
    `(batch, heads, length, keys)`, or `(batch, length, keys)` as Keras's own layer has it. Masks that Keras propagates (of
    an Embedding with mask_zero, of Masking) hide keys; the mask of x goes on with the result. Dropout acts on the weights
    after the softmax, in training only, and scales what it keeps by 1/(1 - dropout).

    `scale` is 1/√key_dim unless given; `output_width` the width of x; `key_dim` the width of x divided by num_heads, which
    must then divide it; `value_dim` key_dim. `num_kv_heads` key/value heads, fewer than num_heads, serve groups of queries'
    heads. `causal` is "top-left" or "bottom-right", as docs/contract.md explains; True means "top-left".

    Raises `ValueError` for sizes that do not fit, when the layer is made or built.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int | None = None,
        *,
        value_dim: int | None = None,
        num_kv_heads: int | None = None,
        output_width: int | None = None,
        use_bias: bool = True,
        causal: bool | str | None = None,
        scale: float | None = None,
        softcap: float | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.num_heads = checks.at_least_one("num_heads", num_heads)
        self.num_kv_heads = checks.at_least_one("num_kv_heads", num_heads if num_kv_heads is None else num_kv_heads)
        checks.share(("num_heads", "num_kv_heads"), self.num_heads, self.num_kv_heads)
        self.key_dim = None if key_dim is None else checks.at_least_one("key_dim", key_dim)
        self.value_dim = None if value_dim is None else checks.at_least_one("value_dim", value_dim)
        self.output_width = None if output_width is None else checks.at_least_one("output_width", output_width)
        self.use_bias = bool(use_bias)
        self.causal = checks.alignment("causal", "top-left" if causal is True else causal or None)
        self.softcap, self.dropout = checks.softcap(softcap), checks.dropout(dropout)
        self.scale, self.seed = scale, seed
        self._seeds = keras.random.SeedGenerator(seed) if self.dropout else None

    def build(self, x_shape: Any, y_shape: Any = None) -> None:
        """Make the weights: matrices `(width, heads · dim)`, Glorot uniform, and biases of zeros."""
        width = checks.sequence("x", x_shape)
        y_width = width if y_shape is None else checks.sequence("y", y_shape)
        d = checks.head_dim("key_dim", self.key_dim, width, self.num_heads)
        dv = self.value_dim or d
        self._widths = width, y_width
        self._dims = d, dv
        shapes = {
            "query": (width, self.num_heads * d),
            "key": (y_width, self.num_kv_heads * d),
            "value": (y_width, self.num_kv_heads * dv),
            "output": (self.num_heads * dv, self.output_width or width),
        }
        self.kernels = {
            part: self.add_weight(name=f"{part}_kernel", shape=shape, initializer="glorot_uniform")
            for part, shape in shapes.items()
        }
        self.biases = {
            part: self.add_weight(name=f"{part}_bias", shape=shape[1:], initializer="zeros")
            for part, shape in shapes.items()
            if self.use_bias
        }
        self.built = True

    def call(
        self,
        x: Any,
        y: Any = None,
        attention_mask: Any = None,
        training: bool | None = None,
        mask: Any = None,
        x_mask: Any = None,
        y_mask: Any = None,
    ) -> Any:
        """The layer's output. Keras propagates the last three: `mask` with x alone, the others with their arrays."""
        checks.sequence("x", x.shape, self._widths[0])
        padding = y_mask
        if y is None:
            y, padding = x, mask if x_mask is None else x_mask
        checks.sequence("y", y.shape, self._widths[1])
        q = self._heads(x, "query", self.num_heads)
        k, v = (self._heads(y, part, self.num_kv_heads) for part in ("key", "value"))
        if attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = ops.expand_dims(attention_mask, 1)  # The heads' axis is left out.
        if attention_mask is not None:
            checks.mask(attention_mask.shape, (x.shape[0], self.num_heads, x.shape[1], y.shape[1]))
        seen = self._seen(ops.shape(x)[1], ops.shape(y)[1], attention_mask, padding)
        o = self._attend(q, k, v, seen, bool(training))
        batch, _, length, _ = ops.shape(o)
        merged = ops.reshape(ops.transpose(o, (0, 2, 1, 3)), (batch, length, self.num_heads * self._dims[1]))
        return self._project(merged, "output")

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask of x goes on."""
        return mask

    def compute_output_shape(self, x_shape: Any, y_shape: Any = None) -> tuple[Any, ...]:
        """(batch, length, output_width)"""
        return (*x_shape[:-1], self.output_width or x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        names = (
            "num_heads", "key_dim", "value_dim", "num_kv_heads", "output_width", "use_bias", "causal", "scale", "softcap",
            "dropout", "seed",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def load(self, weights: Mapping[str, Any]) -> None:
        """Take weights in the harness's form: wq `(width, heads, dim)`, … wo `(heads, dim, width)`, bq … bo.

        Raises `ValueError` for a weight of another shape, for one that is missing, and for biases that the layer has not.
        """
        if not self.built:
            raise ValueError("the layer has no weights yet; build it, or call it once, before load")
        checks.loaded(weights, self._shapes())
        for part, letter in zip(_PARTS, "qkvo", strict=True):
            for variables, kind in ((self.kernels, "w"), (self.biases, "b")):
                if part in variables:
                    variables[part].assign(ops.reshape(weights[f"{kind}{letter}"], variables[part].shape))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the weights and biases in the harness's form."""
        h, hkv, (d, dv), (width, y_width) = self.num_heads, self.num_kv_heads, self._dims, self._widths
        out = self.output_width or width
        shapes: dict[str, tuple[int, ...]] = {
            "wq": (width, h, d), "wk": (y_width, hkv, d), "wv": (y_width, hkv, dv), "wo": (h, dv, out),
        }  # fmt: skip
        biases: dict[str, tuple[int, ...]] = {"bq": (h, d), "bk": (hkv, d), "bv": (hkv, dv), "bo": (out,)}
        return shapes | biases if self.use_bias else shapes

    def _project(self, x: Any, part: str) -> Any:
        product = ops.matmul(x, ops.cast(self.kernels[part], x.dtype))
        if not self.use_bias:
            return product
        wide = _wide(x)  # The gradient of a bias is a sum over positions, in the dtype of this sum.
        return ops.cast(ops.cast(product, wide) + ops.cast(self.biases[part], wide), x.dtype)

    def _heads(self, x: Any, part: str, heads: int) -> Any:
        """(batch, length, width) as (batch, heads, length, dim)."""
        projected = self._project(x, part)
        batch, length, columns = ops.shape(projected)
        return ops.transpose(ops.reshape(projected, (batch, length, heads, columns // heads)), (0, 2, 1, 3))

    def _attend(self, q: Any, k: Any, v: Any, seen: Any, training: bool) -> Any:
        """(batch, heads, length, value_dim) of the formula; scores and sums are float32 at least."""
        dtype, wide = q.dtype, _wide(q)
        group = self.num_heads // self.num_kv_heads
        q, k, v = (ops.cast(a, wide) for a in (q, k, v))
        if group > 1:
            k, v = (ops.repeat(a, group, axis=1) for a in (k, v))
        scale = 1 / math.sqrt(self._dims[0]) if self.scale is None else self.scale
        scores = ops.matmul(q * scale, ops.transpose(k, (0, 1, 3, 2)))
        if self.softcap is not None:
            scores = self.softcap * ops.tanh(scores / self.softcap)
        weights = _softmax(scores, seen)
        if self.dropout and training:
            weights = keras.random.dropout(weights, self.dropout, seed=self._seeds)
        return ops.cast(ops.matmul(weights, v), dtype)

    def _seen(self, length: Any, keys: Any, attention_mask: Any, padding: Any) -> Any:
        """Boolean, broadcastable to the scores, True where a query may attend; None where nothing is hidden."""
        found = None
        if self.causal:
            i, j = ops.expand_dims(ops.arange(length), 1), ops.expand_dims(ops.arange(keys), 0)
            found = j - i <= (keys - length if self.causal == "bottom-right" else 0)
        if attention_mask is not None:
            given = ops.cast(attention_mask, "bool")
            found = given if found is None else ops.logical_and(found, given)
        if padding is not None:
            given = ops.cast(padding, "bool")[:, None, None, :]
            found = given if found is None else ops.logical_and(found, given)
        return found


def _softmax(scores: Any, seen: Any) -> Any:
    """Over the last axis; rows that see nothing are zeros, in the gradient too, where `ops.softmax` has no answer."""
    if seen is None:
        return ops.softmax(scores, axis=-1)
    hidden = ops.cast(-float("inf"), scores.dtype)
    scores = ops.where(seen, scores, hidden)
    top = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    weights = ops.exp(scores - ops.where(ops.isfinite(top), top, ops.zeros_like(top)))
    total = ops.sum(weights, axis=-1, keepdims=True)
    return weights / ops.where(total > 0, total, ops.ones_like(total))


def _wide(x: Any) -> str:
    """The dtype of scores and sums: float32 at least."""
    return "float64" if keras.backend.standardize_dtype(x.dtype) == "float64" else "float32"
