"""What the JAX implementations share: the visible part of the score matrix."""

from harness.problem import Problem


def seen(problem: Problem, mask):
    """Band and boolean mask together, broadcastable to (B, Hq, Lq, Lk); None when nothing is hidden."""
    import jax.numpy as jnp

    if not problem.banded:
        return mask
    distance = jnp.arange(problem.kv_len) - jnp.arange(problem.q_len)[:, None]
    low, high = problem.band
    inside = (distance >= low) & (distance <= high)
    return inside if mask is None else inside & mask
