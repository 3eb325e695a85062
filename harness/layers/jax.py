"""The multi-head layer as JAX functions of a dictionary of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harness.layers import checks

Weights = Mapping[str, Any]
"""wq `(width, heads, dim)`, wk and wv `(y_width, kv_heads, dim)`, wo `(heads, v_dim, out_width)`; bq, bk, bv, bo or none."""


def init(
    key: Any,
    width: int,
    heads: int,
    *,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    v_head_dim: int | None = None,
    y_width: int | None = None,
    out_width: int | None = None,
    biases: bool = True,
    dtype: Any = jnp.float32,
) -> dict[str, Any]:
    """New weights from a key, uniform in ±√(6/(fan_in + fan_out)) (Glorot and Bengio 2010); biases of zeros.

    Raises `ValueError` for sizes that do not fit.
    """
    checks.at_least_one("width", width)
    checks.at_least_one("heads", heads)
    kv_heads = checks.at_least_one("kv_heads", heads if kv_heads is None else kv_heads)
    checks.share(("heads", "kv_heads"), heads, kv_heads)
    d = checks.head_dim("head_dim", head_dim, width, heads)
    dv = checks.at_least_one("v_head_dim", d if v_head_dim is None else v_head_dim)
    y_width = checks.at_least_one("y_width", width if y_width is None else y_width)
    out_width = checks.at_least_one("out_width", width if out_width is None else out_width)
    shapes = {
        "wq": (width, heads, d),
        "wk": (y_width, kv_heads, d),
        "wv": (y_width, kv_heads, dv),
        "wo": (heads, dv, out_width),
    }
    weights = {}
    for name, part in zip(shapes, jax.random.split(key, 4), strict=True):
        shape = shapes[name]
        fans = shape[0] * shape[1] + shape[2] if name == "wo" else shape[0] + shape[1] * shape[2]
        limit = math.sqrt(6 / fans)
        weights[name] = jax.random.uniform(part, shape, dtype, -limit, limit)
    if biases:
        weights |= {"bq": jnp.zeros((heads, d), dtype), "bk": jnp.zeros((kv_heads, d), dtype)}
        weights |= {"bv": jnp.zeros((kv_heads, dv), dtype), "bo": jnp.zeros((out_width,), dtype)}
    return weights


def multi_head_attention(
    weights: Weights,
    x: Any,
    y: Any = None,
    *,
    mask: Any = None,
    k_cache: Any = None,
    v_cache: Any = None,
    scale: float | None = None,
    softcap: float | None = None,
    dropout: float = 0.0,
    key: Any = None,
) -> Any:
    """The layer's output `(batch, length, out_width)` for x `(batch, length, width)` and y `(batch, keys, y_width)`.

    Without y it is self-attention.
    `mask` is boolean, True where a query may attend, broadcastable to `(batch, heads, length, keys)`; `causal_mask` makes
    one. The caches, `(batch, kv_heads, positions, dim)`, stand before the projections of x. With a `key`, weights after the
    softmax are dropped with the probability `dropout` and what is kept is scaled by 1/(1 - dropout); without one nothing is.

    Raises `ValueError` for shapes that do not fit each other.
    """
    _check(weights, x, x if y is None else y)
    checks.dropout(dropout)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    y = x if y is None else y
    q, k, v = (_heads(weights, letter, a) for letter, a in (("q", x), ("k", y), ("v", y)))
    if k_cache is not None:
        k, v = jnp.concatenate([k_cache, k], axis=2), jnp.concatenate([v_cache, v], axis=2)
    batch, heads, length, d = q.shape
    kv_heads, keys = k.shape[1:3]
    grouped = q.astype(wide).reshape(batch, kv_heads, heads // kv_heads, length, d)
    scores = jnp.einsum("bhgqd,bhkd->bhgqk", grouped * (1 / math.sqrt(d) if scale is None else scale), k.astype(wide))
    if softcap is not None:
        scores = softcap * jnp.tanh(scores / softcap)
    if mask is not None:
        checks.boolean(str(mask.dtype))
        checks.mask(mask.shape, (batch, heads, length, keys))
        mask = jnp.broadcast_to(mask, (batch, heads, length, keys)).reshape(scores.shape)
    p = _softmax(scores, mask)
    if key is not None and dropout:
        p = p * jax.random.bernoulli(key, 1 - dropout, p.shape) / (1 - dropout)
    o = jnp.einsum("bhgqk,bhkd->bhgqd", p, v.astype(wide)).reshape(batch, heads, length, v.shape[3]).astype(x.dtype)
    out = jnp.einsum("bhqd,hde->bqe", o, weights["wo"], preferred_element_type=wide)
    return (out + weights["bo"] if "bo" in weights else out).astype(x.dtype)


def causal_mask(length: int, keys: int, alignment: str = "top-left") -> Any:
    """Boolean `(length, keys)`: the keys up to the diagonal that begins in the matrix's first corner, or ends in its last.

    Raises `ValueError` for another alignment than "top-left" and "bottom-right".
    """
    checks.alignment("alignment", alignment)
    return jnp.tri(length, keys, keys - length if alignment == "bottom-right" else 0, dtype=bool)


def _check(weights: Weights, x: Any, y: Any) -> None:
    """Raise `ValueError` for weights whose shapes do not fit each other, or x and y."""
    if missing := [name for name in ("wq", "wk", "wv", "wo") if name not in weights]:
        raise ValueError(f"the weights lack {', '.join(missing)}; expected wq, wk, wv, wo and perhaps bq, bk, bv, bo")
    width, heads, d = checks.axes("wq", weights["wq"].shape, "(width, heads, dim)")
    y_width, kv_heads, _ = checks.axes("wk", weights["wk"].shape, "(y_width, kv_heads, dim)")
    *_, v_dim = checks.axes("wv", weights["wv"].shape, "(y_width, kv_heads, v_dim)")
    *_, out_width = checks.axes("wo", weights["wo"].shape, "(heads, v_dim, out_width)")
    checks.share(("heads", "kv_heads"), heads, kv_heads)
    shapes = {"wq": (width, heads, d), "wk": (y_width, kv_heads, d), "wv": (y_width, kv_heads, v_dim)}
    shapes |= {"wo": (heads, v_dim, out_width)}
    biases = {"bq": (heads, d), "bk": (kv_heads, d), "bv": (kv_heads, v_dim), "bo": (out_width,)}
    checks.loaded(weights, shapes | {name: shape for name, shape in biases.items() if name in weights})
    checks.sequence("x", x.shape, width)
    checks.sequence("y", y.shape, y_width)


def _heads(weights: Weights, letter: str, x: Any) -> Any:
    """A projection of x, `(batch, heads, length, dim)`."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    projected = jnp.einsum("ble,ehd->bhld", x, weights[f"w{letter}"], preferred_element_type=wide)
    bias = weights.get(f"b{letter}")
    return (projected if bias is None else projected + bias[:, None]).astype(x.dtype)


def _softmax(scores: Any, mask: Any) -> Any:
    """Over the last axis; rows that see nothing are zeros, in the gradient too; `jax.nn.softmax` would give nan."""
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    m = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min))
    p = jnp.exp(scores - m)
    total = p.sum(axis=-1, keepdims=True)
    return p / jnp.where(total > 0, total, 1)
