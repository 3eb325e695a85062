"""jax.nn.dot_product_attention, through XLA and through cuDNN."""

from dataclasses import replace

from harness.masks import causal_flag, combined_mask, four_axes
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

_REASONS = {
    "dtypes": "dot_product_attention computes its scores in float32 even from float64",
    "softcap": "dot_product_attention has no softcap outside TPUs",
    "v_head_dim": "dot_product_attention wants values as wide as keys",
}
_XLA = replace(EVERYTHING, dtypes=("float32", "bfloat16", "float16"), softcap=False, v_head_dim=False, reasons=_REASONS)
_XLA_CPU = replace(
    _XLA,
    dtypes=("float32", "bfloat16"),
    reasons={**_REASONS, "dtypes": "on the CPU dot_product_attention takes float32 and bfloat16 only, with float32 scores"},
)


def _refused_by_cudnn(problem):
    """JAX asks the first two before it calls cuDNN; the last was seen on an H100 with JAX 0.11."""
    reasons = []
    if problem.head_dim % 8 or problem.head_dim > 256:
        reasons.append("cuDNN wants head sizes in multiples of 8, up to 256")
    if problem.direction == "backward" and (problem.q_len % 2 or problem.kv_len % 2):
        reasons.append("cuDNN's backward pass wants even numbers of queries and keys")
    if problem.dtype == "bfloat16" and (problem.bias or "").startswith("lowest"):
        reasons.append("cuDNN gives zero to a query whose biases are all the dtype's lowest number")
    return reasons


_CUDNN = replace(
    _XLA,
    dtypes=("bfloat16", "float16"),
    reasons={**_REASONS, "dtypes": "cuDNN takes bfloat16 and float16 only"},
    extra_check=_refused_by_cudnn,
)


def _bare(backend):
    """dot_product_attention as it is."""

    def library_call():
        import jax

        def call(q, k, v, *, mask, bias, causal, scale):
            return jax.nn.dot_product_attention(
                q, k, v, bias=bias, mask=mask, scale=scale, is_causal=causal, implementation=backend
            )

        return call

    return library_call


@implementation(
    "jax-nn",
    framework="jax",
    devices=("cpu", "cuda"),
    layout="BSHD",
    supports={"cpu": _XLA_CPU, "cuda": _XLA},
    library_call=_bare("xla"),
    slow_build=True,
    known_failures={
        "logits/overflow-before-scale-float32": "dot_product_attention multiplies q by k before the scale, and overflows"
    },
)
def jax_nn(problem: Problem):
    """jax.nn.dot_product_attention by XLA; rows with nothing to attend to are set to zero after it.

    It gives hidden keys the score -2.4e38, and with a bias they would outweigh a row whose other keys all have less. Mask,
    causality and window are then given as -inf in the bias.
    """
    return _attention(problem, "xla")


@implementation(
    "jax-nn-cudnn", framework="jax", devices=("cuda",), layout="BSHD", supports=_CUDNN, library_call=_bare("cudnn")
)
def jax_nn_cudnn(problem: Problem):
    """jax.nn.dot_product_attention by cuDNN's fused kernel; rows with nothing to attend to are set to zero after it."""
    return _attention(problem, "cudnn")


def _attention(problem, backend):
    import jax
    import jax.numpy as jnp

    in_bias = problem.bias is not None and backend == "xla"
    is_causal = causal_flag(problem, "top-left") and not in_bias

    def attention(q, k, v, mask=None, bias=None):
        visible, bias = four_axes(combined_mask(problem, mask, jnp.arange)), four_axes(bias)
        any_key = has_key(visible, bias) if problem.may_have_empty_rows else None
        given = four_axes(mask) if is_causal else visible
        if in_bias:
            given, bias = None, with_hidden(bias, visible, any_key)
        o = jax.nn.dot_product_attention(
            q, k, v, bias=bias, mask=given, scale=problem.scale, is_causal=is_causal, implementation=backend
        )
        # The library gives a row without keys the mean of v, or nan; the contract says zero.
        return o if any_key is None else jnp.where(any_key.swapaxes(1, 2), o, 0)

    def with_hidden(bias, visible, any_key):
        """The bias, -inf where a key is hidden. A row without keys keeps them all: of -inf alone it would be nan, and so
        would be all gradients."""
        if visible is not None:
            bias = jnp.where(visible, bias, -jnp.inf)
        return bias if any_key is None else jnp.where(any_key, bias, 0)

    def has_key(visible, bias):
        """(…, q_len or 1, 1): whether each row has anything to attend to."""
        anything = jnp.ones((1, 1, problem.q_len, problem.kv_len), bool) if visible is None else visible
        if bias is not None:
            anything &= bias > -jnp.inf
        return anything.any(axis=-1, keepdims=True)

    return jax.jit(attention)
