"""flax.nnx.MultiHeadAttention.

Mapping: the kernels of query, key and value are `(width, heads, dim)`, that of out `(heads, dim, out_width)`, the biases
`(heads, dim)` and `(out_width,)`, as in the contract.
"""

import importlib.util
from dataclasses import replace

from harness.masks import causal_flag, combined_mask, four_axes
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import implementation

from ._mapping import bias_summed_in_bfloat16, inexact_factor, scaled

_SUPPORTS = replace(
    EVERYTHING,
    dtypes=("float32", "bfloat16"),
    softcap=False,
    v_head_dim=False,
    cache=False,
    reasons={
        "dtypes": "its softmax is float32 even from float64, and on the CPU it takes float32 and bfloat16 only",
        "softcap": "the layer has no softcap",
        "v_head_dim": "qkv_features is the width of queries, keys and values alike",
        "cache": "its cache takes one position at a time, into keys and values of a fixed length",
    },
    extra_check=lambda problem: inexact_factor(problem) + bias_summed_in_bfloat16(problem),
)


def needs_flax(device: str) -> str | None:
    """The framework is JAX, which knows nothing of Flax."""
    if importlib.util.find_spec("flax") is None:
        return "flax is not installed; install it with pip install 'attention-harness[flax]'"
    return None


def _bare():
    """The layer as it is, given the mask and the causal flag as they come."""

    def of(problem, weights):
        from flax import nnx

        layer = _layer(problem, nnx.dot_product_attention)
        graph, parameters = nnx.split(layer)
        nnx.replace_by_pure_dict(parameters, _mapped(weights))
        layer = nnx.merge(graph, parameters)
        return lambda x, y, mask, causal: layer(x, y, mask=mask, is_causal=causal)

    return of


@implementation(
    "flax-mha",
    operator=MULTI_HEAD,
    framework="jax",
    devices=("cpu", "cuda"),
    supports=_SUPPORTS,
    unavailable_reason=needs_flax,
    slow_build=True,
    library_call=_bare,
)
def flax_mha(problem: Problem):
    """flax.nnx.MultiHeadAttention, jitted; its attention_fn is Flax's, with rows that see nothing set to zero after it."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    inner = problem.attention
    is_causal = problem.mask is None and causal_flag(inner, "top-left")

    def attend(q, k, v, mask=None, **options):
        o = nnx.dot_product_attention(q, k, v, mask=mask, **options)
        if mask is None or not inner.may_have_empty_rows:
            return o
        return jnp.where(mask.any(axis=-1).swapaxes(1, 2)[..., None], o, 0)

    graph, parameters = nnx.split(nnx.eval_shape(lambda: _layer(problem, attend)))

    @jax.jit
    def compiled(weights, x, y=None, mask=None):
        nnx.replace_by_pure_dict(parameters, _mapped(scaled(problem, weights)))
        seen = None if is_causal else four_axes(combined_mask(inner, mask, jnp.arange))
        return nnx.merge(graph, parameters)(x, y, mask=seen, is_causal=is_causal)

    def load(**weights):
        return lambda x, **extras: compiled(weights, x, **extras)

    return load


def _layer(problem, attention_fn):
    from flax import nnx

    return nnx.MultiHeadAttention(
        problem.q_heads,
        problem.width,
        problem.q_heads * problem.head_dim,
        problem.out_width,
        problem.kv_heads,
        problem.y_width,
        use_bias=problem.biases,
        param_dtype=problem.dtype,
        attention_fn=attention_fn,
        decode=False,
        rngs=nnx.Rngs(0),
    )


def _mapped(weights):
    """The weights under the layer's names."""
    return {
        part: {
            kind: weights[f"{letter}{part[0]}"]
            for kind, letter in (("kernel", "w"), ("bias", "b"))
            if f"{letter}{part[0]}" in weights
        }
        for part in ("query", "key", "value", "out")
    }
