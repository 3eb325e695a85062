"""The formula in JAX, jitted."""

from harness.masks import combined_mask, grouped
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation


@implementation("jax", framework="jax", devices=("cpu", "cuda"), supports=EVERYTHING, slow_build=True)
def jax_formula(problem: Problem):
    """The formula, compiled by XLA; O(Lq·Lk) workspace."""
    import jax
    import jax.numpy as jnp

    def attention(q, k, v, mask=None, bias=None):
        dtype = q.dtype
        q, k, v = (x.astype(jnp.promote_types(dtype, jnp.float32)) for x in (q, k, v))
        q = (q * problem.scale).reshape(problem.batch, problem.kv_heads, problem.group, problem.q_len, problem.head_dim)
        scores = jnp.einsum("bhgqd,bhkd->bhgqk", q, k)
        if problem.softcap is not None:
            scores = problem.softcap * jnp.tanh(scores / problem.softcap)
        if bias is not None:
            scores += grouped(problem, bias)
        visible = grouped(problem, combined_mask(problem, mask, jnp.arange))
        if visible is not None:
            scores = jnp.where(visible, scores, -jnp.inf)
        weights = softmax_or_zeros(scores) if problem.may_have_empty_rows else jax.nn.softmax(scores)
        return jnp.einsum("bhgqk,bhkd->bhgqd", weights, v).reshape(problem.o_shape).astype(dtype)

    def softmax_or_zeros(scores):
        """Softmax whose rows of -inf, or of no key at all, are zeros; jax.nn.softmax would give nan."""
        m = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min))
        weights = jnp.exp(scores - m)
        total = weights.sum(axis=-1, keepdims=True)
        return weights / jnp.where(total > 0, total, 1)

    return jax.jit(attention)
