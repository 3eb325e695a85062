"""jax.nn.dot_product_attention, through XLA and through cuDNN."""

from dataclasses import replace

from harness.problem import Problem
from harness.registry import EVERYTHING, implementation
from impls._jax import seen

_BECAUSE = {
    "dtypes": "dot_product_attention computes its scores in float32 even from float64",
    "softcap": "dot_product_attention has no softcap outside TPUs",
    "v_head_dim": "dot_product_attention wants values as wide as keys",
}
_XLA = replace(EVERYTHING, dtypes=("float32", "bfloat16", "float16"), softcap=False, v_head_dim=False, because=_BECAUSE)
_XLA_CPU = replace(
    _XLA,
    dtypes=("float32", "bfloat16"),
    because={**_BECAUSE, "dtypes": "on the CPU dot_product_attention takes float32 and bfloat16 only, with float32 scores"},
)
_CUDNN = replace(
    _XLA, dtypes=("bfloat16", "float16"), because={**_BECAUSE, "dtypes": "cuDNN takes bfloat16 and float16 only"}
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
    departures={
        "logits/overflow-before-scale-float32": "dot_product_attention multiplies q by k before the scale, and overflows"
    },
)
def jax_nn(problem: Problem):
    """jax.nn.dot_product_attention by XLA; rows with nothing to attend to are set to zero after it."""
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

    # The library's own flag is aligned top-left; every other band is given as a mask.
    plain_causal = problem.causal is not None and problem.window is None
    is_causal = plain_causal and (problem.causal == "top-left" or problem.q_len == problem.kv_len)

    def four_axes(x):
        return None if x is None else x.reshape((1,) * (4 - x.ndim) + x.shape)

    def attention(q, k, v, mask=None, bias=None):
        visible, bias = four_axes(mask if is_causal else seen(problem, mask)), four_axes(bias)
        o = jax.nn.dot_product_attention(
            q, k, v, bias=bias, mask=visible, scale=problem.scale, is_causal=is_causal, implementation=backend
        )
        return zero_empty_rows(o, visible, bias) if problem.may_have_empty_rows else o

    def zero_empty_rows(o, visible, bias):
        """The library gives such a row the mean of v, or nan when a bias of -inf blocks it; the contract says zero."""
        anything = jnp.ones((1, 1, problem.q_len, problem.kv_len), bool) if visible is None else visible
        if bias is not None:
            anything &= bias > -jnp.inf
        if is_causal:
            anything &= jnp.arange(problem.kv_len) <= jnp.arange(problem.q_len)[:, None]
        any_key = anything.any(axis=-1, keepdims=True).swapaxes(1, 2)
        return jnp.where(any_key, o, 0)

    return jax.jit(attention)
