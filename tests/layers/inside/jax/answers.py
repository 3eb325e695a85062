"""The JAX functions give the oracle's answers, and gradients that are numbers."""

import jax
import jax.numpy as jnp
import pytest

from harness.layers.jax import causal_mask, init, multi_head_attention
from tests.layers import answers


@pytest.mark.parametrize("name", answers.PROBLEMS)
def test_oracle(name):
    problem = answers.PROBLEMS[name]
    weights, x, y, mask = answers.arrays(name)
    if problem.causal:
        causal = causal_mask(problem.q_len, problem.kv_len, problem.causal)
        mask = causal if mask is None else causal & mask
    options = {"scale": problem.scale, "softcap": problem.softcap}
    answers.check(name, multi_head_attention(weights, x, y, mask=mask, **options))
    answers.check(name, jax.jit(multi_head_attention, static_argnames=["softcap"])(weights, x, y, mask=mask, **options))


@pytest.mark.parametrize("biases", [True, False])
def test_new_weights_fit_their_problem(biases):
    sizes = {"kv_heads": 2, "head_dim": 5, "v_head_dim": 8, "y_width": 7, "out_width": 10}
    weights = init(jax.random.key(0), 12, 4, biases=biases, **sizes)
    problem = answers.Problem(q_heads=4, q_len=1, width=12, cross=True, biases=biases, **sizes)
    assert {name: weight.shape for name, weight in weights.items()} == problem.weight_shapes


def test_training_lowers_the_loss():
    x = jax.random.normal(jax.random.key(1), (8, 6, 12))
    target = jnp.cumsum(x, axis=1) / jnp.arange(1, 7)[:, None]
    mask = causal_mask(6, 6).at[0, 0].set(False)  # The first position sees nothing; its gradient is zero.

    def loss(weights):
        return jnp.mean((multi_head_attention(weights, x, mask=mask) - target) ** 2)

    step = jax.jit(jax.value_and_grad(loss))
    weights = init(jax.random.key(0), 12, 4)
    losses = []
    for _ in range(30):
        value, gradients = step(weights)
        losses.append(float(value))
        weights = jax.tree.map(lambda weight, gradient: weight - 0.1 * gradient, weights, gradients)
    assert losses[-1] < 0.8 * losses[0]
