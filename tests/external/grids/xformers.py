"""xformers: the shape generator of its tests, and its kinds of attention bias as causality, windows, masks and biases."""

from __future__ import annotations

import random
from typing import Any

from tests.external.grids.product import Point, grid
from tests.external.grids.stating import lengths_of, sees

BOTH = ["forward", "backward"]
HALF = ["float16", "bfloat16"]
DTYPES = ["float32", *HALF]

HEAD_DIMS = [32, 64, 96, 128, 256, 512]
WIDE_OR_ODD = [1, 2, 3, 31, 34, 36, 38, 40, 64, 80, 160, 258, 264, 512]
ODD_LENGTHS = [2, 3, 15, 31, 32, 34, 68, 72, 90, 132, 136]

LOCAL = [3, 128, 300]
"""Keys that a local mask leaves to a query, itself among them."""

TOP_LEFT = [
    sees(causal="top-left"),  # LowerTriangularMask
    sees(causal="top-left", bias="normal-bhqk"),  # LowerTriangularMaskWithTensorBias
    sees(causal="top-left", mask="padding"),  # BlockDiagonalCausalMask
    *(sees(causal="top-left", mask="padding", window=(keys - 1, -1)) for keys in LOCAL),  # …CausalLocalAttentionMask
]
BOTTOM_RIGHT = [
    sees(causal="bottom-right"),  # LowerTriangularFromBottomRightMask
    *(sees(causal="bottom-right", window=(keys - 1, -1)) for keys in LOCAL),  # …FromBottomRightLocalAttentionMask
]
AROUND = [sees(window=window) for window in ((0, 0), (5, 0), (0, 5), (2, 3))]
"""LocalAttentionFromBottomRightMask, whose sides are drawn from 0 to 5."""

ANYWHERE = [
    sees(),
    sees(bias="blocking-bhqk"),  # a tensor, some of it -inf
    sees(mask="padding"),  # BlockDiagonalMask, and that with padded or gappy keys
]
SEES = [*ANYWHERE, *TOP_LEFT, *BOTTOM_RIGHT, *AROUND]


def _not_posed(point: Point) -> bool:
    """Masks from the bottom right are not asked of more queries than keys; windows can be stated for as many keys only."""
    q_len, kv_len = lengths_of(point)
    seen = point["sees"]
    return (seen in BOTTOM_RIGHT and q_len > kv_len) or (seen in AROUND and q_len != kv_len)


def _random_shapes(count: int) -> list[Any]:
    """Shapes from the ranges of the generator's random ones: batch and heads, lengths, head size and values' width."""
    rng = random.Random(0)

    def shape() -> Any:
        heads = rng.randint(2, 11)
        lengths = rng.randint(1, 500), rng.randint(1, 500)
        return max(1, rng.randint(1, 400) // heads), heads, lengths, (8 * rng.randint(1, 31), 8 * rng.randint(1, 31))

    return [shape() for _ in range(count)]


ODD_SHAPES = [
    *((300, 1, (length, 128), 32) for length in ODD_LENGTHS),
    *((300, 1, (256, length), 32) for length in ODD_LENGTHS),
    *((300, 1, (256, 128), d) for d in WIDE_OR_ODD),
    *((300, 1, (256, 128), pair) for wide in (36, 64, 264) for pair in ((32, wide), (wide, 32))),
    *((300 // heads, heads, (256, 128), 32) for heads in (3, 5, 12)),
]
STRIDES = [(1, 300, (128, 128), 128), (13, 200, (1, 67), 8), (1, 1, (65537, 4), 8), (1, 1, (4, 65537), 8)]
"""Strides or sizes beyond 16 bits."""

SPLIT_SHAPES = [
    *((1, 1, (q_len, 65536), 128) for q_len in (3, 4, 8, 16)),
    *((10, 1, (q_len, 65536), 128) for q_len in (8, 15)),
    *(
        (1, 1, (16, 65536), 32),
        (1, 1, (3, 65526), 128),
        (1, 1, (8, 1025), 128),
        (2, 1, (8, 4096), 128),
        (2, 1, (3, 73), 128),
    ),
    *((2, 1, (7, 7328), 128), (2, 1, (7, 7328), 120), (2, 1, (7, 63), 120)),
]
DECODE_SHAPES = [
    (1, (3, 1), (1, 65536), 128),
    (5, (4, 1), (1, 53), 64),
    (7, (4, 1), (1, 51), 256),
    (3, (2, 1), (1, 51), 512),
]

GRIDS = (
    grid(
        "test_forward, test_backward: the regular shapes",
        skips=_not_posed,
        batch=[1, 300],
        heads=1,
        q_len=[32, 256],
        kv_len=[32, 64, 256, 1024],
        head_dim=HEAD_DIMS,
        dtype=DTYPES,
        sees=SEES,
        direction=BOTH,
    ),
    grid("the same: odd shapes", skips=_not_posed, shape=ODD_SHAPES, dtype=DTYPES, sees=SEES, direction=BOTH),
    grid(
        "the same: one side long",
        skips=_not_posed,
        batch=[1, 300],
        heads=1,
        lengths=[(16, 1024), (1024, 16)],
        head_dim=HEAD_DIMS,
        dtype=DTYPES,
        sees=SEES,
        direction=BOTH,
    ),
    grid("the same: random shapes, 24", skips=_not_posed, shape=_random_shapes(24), dtype=DTYPES, sees=SEES, direction=BOTH),
    grid("the same: no mask", shape=STRIDES, dtype=DTYPES, sees=sees(), direction=BOTH),
    grid("test_forward_splitk", shape=SPLIT_SHAPES, dtype=HALF, sees=sees()),
    grid("test_mqa_decoding", shape=DECODE_SHAPES, dtype=HALF, sees=sees()),
    grid(
        "test_forward_gqa: two groups of 16 heads",
        skips=lambda point: _not_posed(point) or (point["q_len"] == 1 and point["sees"] in TOP_LEFT),
        batch=3,
        heads=[(32, 2)],
        q_len=[1, 512],
        kv_len=512,
        head_dim=128,
        dtype="float16",
        sees=SEES,
    ),
    grid(
        "test_backward_gqa",
        batch=3,
        heads=[(8, 1)],
        lengths=[(512, 512)],
        head_dim=128,
        dtype="float16",
        direction="backward",
    ),
    grid("test_forward_gqa_one_group", batch=3, heads=[(5, 1)], lengths=[(13, 16)], head_dim=128, dtype="float16"),
    grid("test_logsumexp_mqa", batch=1, heads=[(32, 1)], lengths=[(1, 16)], head_dim=128, dtype="float16"),
    grid(
        "test_triton_splitk_decoder, test_ck_splitk_decoder",
        batch=[1, 8],
        heads=[(16, 16), (16, 1), (32, 2)],
        lengths=[(1, 32), (1, 4096)],
        head_dim=[128, 256],
        dtype=DTYPES,
        sees=sees(mask="padding"),
    ),
    grid(
        "test_fav3_kvsplit_attn",
        batch=[4, 8, 16],
        heads=[(8, 1), (16, 1)],
        q_len=[1, 2, 4, 8],
        kv_len=[256, 512, 1024, 2048],
        head_dim=128,
        dtype="bfloat16",
        sees=[sees(), sees(causal="bottom-right")],
    ),
    grid(
        "test_nans_in_padding",
        batch=64,
        heads=[(8, 1)],
        lengths=[(15, 256)],
        head_dim=128,
        dtype="bfloat16",
        sees=sees(mask="padding"),
    ),
    grid("test_custom_scale", batch=1, heads=1, lengths=[(32, 32)], head_dim=32, dtype=DTYPES, scale=0.1, direction=BOTH),
    grid(
        "test_empty_tensors: no query, no key, no batch element",
        shape=[(1, 1, (0, 32), 32), (1, 1, (32, 0), 32), (0, 1, (32, 32), 32)],
        dtype=DTYPES,
        direction=BOTH,
    ),
    grid(
        "test_memeff_compile",
        batch=1,
        heads=2,
        lengths=[(256, 256)],
        head_dim=64,
        dtype="float16",
        sees=[sees(), TOP_LEFT[0], ANYWHERE[2]],
        direction=BOTH,
    ),
)
