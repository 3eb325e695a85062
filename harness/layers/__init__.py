"""The multi-head layer for models of one's own: a Keras layer, a PyTorch module, JAX functions.

    from harness.layers.keras import MultiHeadAttention
    from harness.layers.torch import MultiHeadAttention
    from harness.layers.jax import init, multi_head_attention

All three compute what docs/contract.md says, from the same weights: heads are contiguous columns of a projection, a boolean
mask is True where a query may attend, and a query that may attend to nothing gives the bias of the output. Each module
imports its framework; nothing else here does.
"""
