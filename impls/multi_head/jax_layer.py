"""The layer as a jitted JAX function."""

from harness.masks import combined_mask
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import implementation


@implementation("jax", operator=MULTI_HEAD, framework="jax", devices=("cpu", "cuda"), supports=EVERYTHING, slow_build=True)
def jax_layer(problem: Problem):
    """harness.layers.jax.multi_head_attention, compiled by XLA; O(Lq·Lk) workspace."""
    import jax
    import jax.numpy as jnp

    from harness.layers.jax import multi_head_attention

    def layer(weights, x, y=None, mask=None, **cache):
        seen = combined_mask(problem.attention, mask, jnp.arange)
        return multi_head_attention(weights, x, y, mask=seen, scale=problem.scale, softcap=problem.softcap, **cache)

    compiled = jax.jit(layer)

    def load(**weights):
        return lambda x, **extras: compiled(weights, x, **extras)

    return load
