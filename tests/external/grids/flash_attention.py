"""FlashAttention-2 and -3. Causality and windows are aligned bottom-right; ALiBi is a bias for each sequence and head."""

from __future__ import annotations

from tests.external.grids.product import Point, grid

BOTH = ["forward", "backward"]
HALF = ["float16", "bfloat16"]
CAUSAL = [None, "bottom-right"]
LOCAL = [False, True]
ALIBI = [None, "normal-bhqk"]

HEAD_DIMS = [32, 40, 59, 64, 80, 96, 111, 128, 160, 192, 224, 256]
HEAD_DIMS_3 = [(64, 256), (64, 512), 64, 96, 128, (192, 128), 192, 256]
"""With the width of the values where it differs."""


def heads(count: int, grouped: int) -> list[tuple[int, int]]:
    """Multi-head, multi-query and grouped-query."""
    return [(count, count), (count, 1), (count, grouped)]


def squares(*lengths: int) -> list[tuple[int, int]]:
    return [(length, length) for length in lengths]


def swapped(lengths: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The lengths, and each pair the other way round."""
    return list(dict.fromkeys([*lengths, *((kv_len, q_len) for q_len, kv_len in lengths)]))


_UNEVEN = [(113, 203), (128, 217), (113, 211), (108, 256), (256, 512)]
_TAIL = [(512, 256), (1024, 1024), (1023, 1024), (1024, 1023)]
LENGTHS = [*_UNEVEN, *_TAIL, (2048, 2048)]
CAUSAL_LENGTHS = swapped([(1, 239), (3, 799), (127, 512), (127, 513), *_UNEVEN, (1023, 1024)])
SPLIT_LENGTHS = swapped(
    [(3, 1024), (1, 339), (64, 800), (3, 799), (64, 2048), (16, 20000), (16, 100000), *squares(128, 256)]
)
CACHE_LENGTHS = [(1, 128), (1, 339), (3, 1024), (64, 800), (64, 256), (3, 799), (64, 2048), (16, 20000), (128, 128)]
RACE_LENGTHS = [(1, 239), (239, 1), (3, 799), (799, 3), (1024, 128), *squares(97, 128, 200, 256, 257, 384, 512, 768, 1024)]
LENGTHS_3 = [
    (1, 1),
    (64, 128),
    (128, 192),
    (256, 256),
    (239, 1),
    (799, 3),
    (113, 128),
    *_UNEVEN,
    (384, 256),
    (640, 128),
    *_TAIL,
]
PADDED_LENGTHS_3 = [
    (1, 1),
    (1, 3),
    (2, 1),
    (511, 1),
    (3, 513),
    (64, 128),
    *squares(128, 256),
    *_UNEVEN,
    (307, 256),
    (640, 128),
    *_TAIL,
]


def _values_too_wide(point: Point) -> bool:
    """FlashAttention-3 has no gradients for values wider than 256."""
    return point["head_dim"] == (64, 512) and point["direction"] == "backward"


GRIDS = (
    grid(
        "test_flash_attn_output",
        batch=4,
        heads=heads(6, 2),
        lengths=LENGTHS,
        head_dim=[d for d in HEAD_DIMS if d != 80],
        dtype=HALF,
        causal=CAUSAL,
        local=LOCAL,
        bias=ALIBI,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_output with softcap, for which there are fewer heads",
        batch=4,
        heads=heads(4, 2),
        lengths=LENGTHS,
        head_dim=[d for d in HEAD_DIMS if d != 80],
        dtype=HALF,
        causal=CAUSAL,
        local=LOCAL,
        bias=ALIBI,
        softcap=50.0,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_qkvpacked",
        batch=4,
        heads=9,
        lengths=squares(97, 128, 200, 384, 768, 1024, 1025, 2048),
        head_dim=HEAD_DIMS,
        dtype=HALF,
        causal=CAUSAL,
        local=LOCAL,
        bias=ALIBI,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_varlen_qkvpacked",
        batch=5,
        heads=6,
        lengths=squares(97, 128, 200, 257, 384, 512, 768, 1025, 2048),
        head_dim=[d for d in HEAD_DIMS if d not in (40, 111)],
        dtype=HALF,
        mask="padding",
        bias=ALIBI,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_varlen_output",
        batch=4,
        heads=heads(6, 2),
        lengths=[(1, 147), *LENGTHS],
        head_dim=[d for d in HEAD_DIMS if d != 40],
        dtype=HALF,
        mask="padding",
        bias=ALIBI,
        softcap=[None, 50.0],
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_causal",
        batch=8,
        heads=9,
        lengths=CAUSAL_LENGTHS,
        head_dim=HEAD_DIMS,
        dtype=HALF,
        causal="bottom-right",
        local=LOCAL,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_deterministic",
        batch=4,
        heads=9,
        lengths=CAUSAL_LENGTHS,
        head_dim=HEAD_DIMS,
        dtype=HALF,
        causal=CAUSAL,
        local=LOCAL,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_splitkv",
        batch=1,
        heads=12,
        lengths=SPLIT_LENGTHS,
        head_dim=HEAD_DIMS,
        dtype=HALF,
        causal=CAUSAL,
        local=LOCAL,
        bias=ALIBI,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_kvcache",
        batch=2,
        heads=heads(6, 3),
        lengths=[*CACHE_LENGTHS, (1, 131072), (16, 131072)],
        head_dim=[32, 59, 64, 80, 128, 256],
        dtype="float16",
        mask="padding",
        bias=ALIBI,
    ),
    grid(
        "test_flash_attn_race_condition",
        batch=60,
        heads=4,
        lengths=RACE_LENGTHS,
        head_dim=HEAD_DIMS,
        dtype="float16",
        causal=CAUSAL,
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_bwd_overflow: q times 5, k times 3",
        batch=2,
        heads=5,
        lengths=squares(1, 2, 5, 17, 128),
        head_dim=[16, 32, 64],
        dtype="float16",
        causal=CAUSAL,
        scale="15/sqrt(d)",
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_bwd_varlen_overflow, each sequence by itself: q times 3, k times 3",
        batch=1,
        heads=5,
        lengths=[(76, 1), (34, 1), (146, 1)],
        head_dim=[16, 32, 64],
        dtype="float16",
        causal=CAUSAL,
        scale="9/sqrt(d)",
        direction=BOTH,
    ),
    grid(
        "test_flash_attn_bwd_transpose",
        batch=5,
        heads=2,
        lengths=squares(97, 128, 200, 256),
        head_dim=[64, 128],
        dtype=HALF,
        causal=CAUSAL,
        direction=BOTH,
    ),
    grid(
        "hopper: test_flash_attn_output",
        skips=_values_too_wide,
        batch=9,
        heads=heads(6, 2),
        lengths=[*LENGTHS_3, *squares(4096, 4224)],
        head_dim=HEAD_DIMS_3,
        dtype=HALF,
        causal=CAUSAL,
        local=LOCAL,
        softcap=[None, 15.0],
        direction=BOTH,
    ),
    grid(
        "hopper: test_flash_attn_varlen_output",
        skips=_values_too_wide,
        batch=9,
        heads=heads(6, 2),
        lengths=[*PADDED_LENGTHS_3, *squares(2048, 4096)],
        head_dim=HEAD_DIMS_3,
        dtype=HALF,
        mask="padding",
        softcap=[None, 15.0],
        direction=BOTH,
    ),
    grid(
        "hopper: test_flash_attn_kvcache",
        batch=5,
        heads=heads(6, 3),
        lengths=[*CACHE_LENGTHS, (256, 512), (2048, 3577)],
        head_dim=128,
        dtype="bfloat16",
        mask="padding",
    ),
    grid(
        "hopper: test_flash_attn_cluster",
        batch=2,
        heads=[(16, 4)],
        lengths=[(64, 8192)],
        head_dim=128,
        dtype="bfloat16",
        causal=CAUSAL,
    ),
    grid(
        "hopper: test_flash_attn_race_condition",
        batch=60,
        heads=4,
        lengths=[*RACE_LENGTHS, (2048, 2048)],
        head_dim=HEAD_DIMS,
        dtype="bfloat16",
        causal=CAUSAL,
        direction=BOTH,
    ),
)
