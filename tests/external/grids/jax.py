"""JAX: `jax.nn.dot_product_attention`, and Pallas' attention kernels. Causality is top-left."""

from __future__ import annotations

from tests.external.grids.product import grid
from tests.external.grids.stating import sees

BOTH = ["forward", "backward"]
CAUSAL = [None, "top-left"]
SEGMENTS = [None, "random-b1qk"]
"""Segment ids say for each sequence which keys a query sees."""

MASK_MODES = [
    sees(bias="normal-1hqk"),
    sees(causal="top-left"),
    sees(mask="padding"),
    sees(mask="random-11qk"),
    sees(causal="top-left", mask="padding"),
    sees(mask="random-b1qk"),  # custom and padding
    sees(bias="normal-1hqk", causal="top-left"),
    sees(causal="top-left", window=(3, 2)),
]

_NN = {"batch": 2, "lengths": [(128, 128)], "head_dim": 32}

GRIDS = (
    grid(
        "nn_test: testDotProductAttention",
        **_NN,
        heads=[(4, 4), (4, 2), (4, 1)],
        dtype=["bfloat16", "float16"],
        direction=BOTH,
    ),
    grid("nn_test: testDotProductAttentionMask", **_NN, heads=4, dtype="bfloat16", sees=MASK_MODES, direction=BOTH),
    grid(
        "nn_test: testDotProductAttention_localWindowSizeWithoutMask",
        **_NN,
        heads=4,
        dtype="float32",
        sees=[sees(window=(32, 32)), sees(window=(1, 1))],
    ),
    grid(
        "nn_test: testDotProductAttentionFloat64MaskDebugInfs",
        shape=[(1, (6, 3), (5, 7), 11)],
        dtype="float64",
        sees=sees(mask="random-k"),
    ),
    grid(
        "nn_test: testDotProductAttentionBiasGradient",
        batch=[1, 16],
        heads=4,
        lengths=[(128, 128)],
        head_dim=32,
        dtype="bfloat16",
        sees=sees(bias="normal-bhqk", mask="random-11k"),
        direction=BOTH,
    ),
    grid(
        "gpu_ops_test: test_fused_attention_fwd",
        batch=[1, 2],
        heads=[1, 2, 8],
        lengths=[(128, 128), (384, 384)],
        head_dim=[32, 64, 72, 128],
        dtype="float16",
        causal=CAUSAL,
        mask=SEGMENTS,
    ),
    grid(
        "gpu_ops_test: test_fused_attention_bwd",
        batch=[1, 2],
        heads=[1, 2],
        lengths=[(128, 128), (384, 384)],
        head_dim=[32, 64, 72, 128],
        dtype="float16",
        causal=CAUSAL,
        mask=SEGMENTS,
        direction="backward",
    ),
    grid(
        "gpu_attention_test: test_mqa, test_gqa, which may see only a range of the keys",
        batch=[1, 2],
        heads=[1, (2, 1), (8, 1), (16, 4), 16, 32],
        lengths=[(1, 1024)],
        head_dim=64,
        dtype="float16",
        mask=[None, "padding", "random-k"],
    ),
    grid(
        "mgpu_attention_test: test_flash_attention",
        batch=[1, 4],
        heads=[(4, 1), (6, 3), 4],
        lengths=[(4096, 4096)],
        head_dim=[64, 128, 256],
        dtype="float16",
        causal=CAUSAL,
    ),
    grid(
        "mgpu_attention_test: test_bwd_flash_attention",
        batch=3,
        heads=[(4, 1), (6, 3), 4],
        lengths=[(512, 512), (4096, 3584)],
        head_dim=[64, 128, 256],
        dtype="float16",
        direction=BOTH,
    ),
)
