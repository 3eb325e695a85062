"""PyTorch's scaled_dot_product_attention on the CPU, CUDA and XPU. Its is_causal is top-left."""

from __future__ import annotations

import itertools

from harness.problem import DTYPES as ALL_DTYPES
from tests.external.grids.product import Point, grid
from tests.external.grids.stating import lengths_of, sees

BOTH = ["forward", "backward"]
HALF = ["float16", "bfloat16"]
DTYPES = ["float32", *HALF]
CAUSAL = [None, "top-left"]
SCALES = [None, "1/d"]

FORMS = ["".join(letters) for axes in ("qk", "bhqk") for letters in itertools.product(*((axis, "1") for axis in axes))]
"""Every way to broadcast a mask of two or of four axes."""

MASKS_AND_BIASES = [
    *(sees(mask=f"random-{f}") for f in FORMS),
    *(sees(bias=f"normal-{f}") for f in FORMS),
]

GROUPED_SHAPES = [
    *(
        (2, heads, lengths, 64)
        for heads, lengths in (((64, 16), (9216, 77)), ((32, 4), (2304, 2304)), ((32, 2), (2304, 77)))
    ),
    *((2, (20, 2), (q_len, kv_len), 64) for q_len, kv_len in ((576, 576), (576, 77), (144, 144), (144, 77))),
    *(
        (batch, (32, groups), lengths, 128)
        for lengths in ((1, 32), (32, 32), (2016, 2016))
        for batch, groups in ((1, 2), (4, 4))
    ),
]
MASKED_SHAPES = [
    *((2, 5, (9216, kv_len), 64) for kv_len in (9216, 77)),
    *((2, 10, (2304, kv_len), 64) for kv_len in (2304, 77)),
    *((2, 20, (q_len, kv_len), 64) for q_len in (576, 144) for kv_len in (q_len, 77)),
    *((batch, 32, lengths, 128) for lengths in ((1, 32), (32, 32), (2016, 2016)) for batch in (1, 4)),
]
VARIANT_SHAPES = [(16, 16, (128, 128), 16), (16, 16, (128, 256), 32), (16, 16, (256, 128), 32), (1, 1, (23, 56), 15)]
"""Of torch.nn.attention.bias, which has both alignments."""


def _not_square(point: Point) -> bool:
    """FlashAttention takes is_causal for as many keys as queries only."""
    q_len, kv_len = lengths_of(point)
    return point["causal"] is not None and q_len != kv_len


def _more_queries_from_bottom_right(point: Point) -> bool:
    q_len, kv_len = lengths_of(point)
    return point["causal"] == "bottom-right" and q_len > kv_len


GRIDS = (
    grid(
        "test_scaled_dot_product_fused_attention_mask_vs_math_cpu",
        batch=[2, 12],
        heads=[1, 3],
        q_len=[11, 514, 1030],
        kv_len=[17, 514],
        head_dim=8,
        dtype=list(ALL_DTYPES),
        causal=CAUSAL,
        direction=BOTH,
    ),
    grid(
        "test_scaled_dot_product_fused_attention_mask_vs_math_cpu, with a mask",
        batch=[2, 12],
        heads=[1, 3],
        q_len=[11, 514, 1030],
        kv_len=[17, 514],
        head_dim=8,
        dtype=list(ALL_DTYPES),
        broadcast=MASKS_AND_BIASES,
        direction=BOTH,
    ),
    grid(
        "test_scaled_dot_product_fused_attention_gqa_vs_math_cpu",
        batch=12,
        heads=[(65, 5), (16, 4), (27, 1), (5, 1)],
        lengths=[(17, 100)],
        head_dim=8,
        dtype=list(ALL_DTYPES),
        bias="normal-bhqk",
        direction=BOTH,
    ),
    grid(
        "test_mem_efficient_attention_vs_math_ref_grads",
        batch=[1, 8],
        heads=4,
        q_len=[8, 103, 1024, 2048],
        kv_len=[8, 103, 1024, 2048],
        head_dim=[8, 16, 96, 128],
        dtype=DTYPES,
        causal=CAUSAL,
        scale=SCALES,
        direction=BOTH,
    ),
    grid(
        "test_mem_efficient_attention_vs_math_ref_grads, on small devices",
        batch=[1, 8],
        heads=4,
        q_len=[4, 8, 256, 512],
        kv_len=[4, 8, 256, 512],
        head_dim=[8, 16, 32, 64],
        dtype=["float16", "float32"],
        causal=CAUSAL,
        scale=SCALES,
        direction=BOTH,
    ),
    grid(
        "test_mem_efficient_attention_attn_mask_vs_math_ref_grads",
        batch=[1, 8],
        heads=4,
        q_len=[8, 312, 1024, 2048],
        kv_len=[8, 408, 1024, 2048],
        head_dim=[8, 16, 96, 128],
        dtype=DTYPES,
        bias="normal-qk",
        scale=SCALES,
        direction=BOTH,
    ),
    grid(
        "test_mem_efficient_attention_attn_mask_vs_math_ref_grads, on small devices",
        batch=[1, 8],
        heads=4,
        q_len=[8, 152, 512],
        kv_len=[8, 37, 512],
        head_dim=[8, 16, 32, 64],
        dtype=["float16", "float32"],
        bias="normal-qk",
        scale=SCALES,
        direction=BOTH,
    ),
    grid(
        "test_flash_attention_vs_math_ref_grads",
        skips=_not_square,
        batch=[1, 8],
        heads=[4, (16, 8), (10, 2)],
        q_len=[4, 143, 2048],
        kv_len=[4, 127, 579, 2048],
        head_dim=[8, 203, 256],
        dtype=HALF,
        causal=CAUSAL,
        scale=SCALES,
        direction=BOTH,
    ),
    grid(
        "test_fused_attention_vs_math_ref_grads_cudagraph",
        batch=[1, 8],
        heads=4,
        q_len=[256, 1024],
        kv_len=[256, 1024],
        head_dim=[32, 64],
        dtype="float16",
        causal=CAUSAL,
        scale=SCALES,
        direction=BOTH,
    ),
    grid(
        "test_flash_attention_vs_math",
        skips=_not_square,
        batch=[1, 2, 4],
        heads=[3, 4, 10, (3, 1), (4, 2), (10, 2)],
        q_len=[1, 32, 77, 128, 144, 512, 576],
        kv_len=[1, 32, 77, 128, 144, 512, 576],
        head_dim=[64, 96, 128, 160, 192],
        dtype=HALF,
        causal=CAUSAL,
        direction=BOTH,
    ),
    grid("test_onednn_attention_gqa_vs_math", shape=GROUPED_SHAPES, dtype=HALF, causal=CAUSAL),
    grid(
        "test_onednn_attention_mask_vs_math",
        shape=MASKED_SHAPES,
        dtype=DTYPES,
        sees=[sees(bias="normal-b11k"), sees(causal="top-left")],
    ),
    grid(
        "test_causal_variants",
        skips=_more_queries_from_bottom_right,
        shape=VARIANT_SHAPES,
        dtype="float16",
        causal=["top-left", "bottom-right"],
        direction=BOTH,
    ),
    grid(
        "test_fully_masked_out_rows",
        batch=1,
        heads=1,
        lengths=[(length, length) for length in (32, 64, 128)],
        head_dim=[16, 32],
        dtype=["float32", "float16"],
        mask="empty-rows-11qk",
        direction=BOTH,
    ),
    grid("test_sdpa_with_inf", shape=[(1, 2, (600, 600), 8)], dtype="float32", bias="blocking-qk"),
    grid("test_sdpa_backward_with_gradient", shape=[(2, 2, (49, 49), 32)], dtype="float32", direction=BOTH),
    grid("test_…_math_with_negative_scale", shape=[(1, 3, (64, 64), 64)], dtype="float32", scale=-1e4),
    grid("test_…_fp16_overflow", shape=[(1, 32, (23, 23), 80)], dtype="float16"),
    grid(
        "test_sdpa_zero_sized_tensors",
        shape=[(0, 4, (10, 10), (64, 32)), (2, 4, (0, 0), (64, 32))],
        dtype=DTYPES,
        direction=BOTH,
    ),
    grid(
        "test_sdpa_output_shape_uses_value_head_dim",
        shape=[(1, 1, (16, 16), (32, 24)), (6, 1, (16, 16), (32, 24))],
        dtype="float32",
    ),
    grid("test_sdp_math_gradcheck", shape=[(4, 2, (4, 4), 16)], dtype="float64", direction=BOTH),
    grid(
        "test_sdp_mem_efficient_grad_against_math, test_sdp_flash_attention_grad_against_math",
        shape=[(4, 2, (4, 4), 16)],
        dtype=DTYPES,
        causal=CAUSAL,
        direction=BOTH,
    ),
    grid("test_fused_sdp_choice_cpu", shape=[(2, 8, (128, 128), 64)], dtype=list(ALL_DTYPES)),
    grid(
        "test_mem_efficient_attention_mask_variants",
        shape=[(8, 8, (64, 15), 64)],
        dtype="float16",
        bias=[f"normal-{form}" for form in ("k", "qk", "hqk", "bhqk")],
        direction=BOTH,
    ),
    grid(
        "test_mem_eff_attention_non_contiguous_mask",
        shape=[(8, 8, (64, 16), 64)],
        dtype=["float32", "float16"],
        bias="normal-111k",
        direction=BOTH,
    ),
    grid(
        "test_mem_eff_attention_non_contig_mask_bug", shape=[(3, (16, 1), (1, 14), 128)], dtype="float32", bias="normal-b11k"
    ),
    grid(
        "test_mem_eff_attention_long_sequence_mask",
        shape=[(1, 32, (8192, 8192), 64)],
        dtype=["float32", "float16"],
        bias="normal-bhqk",
        direction=BOTH,
    ),
    grid(
        "test_scaled_dot_product_attention_fused_kernels_packed and …_packed_accuracy",
        shape=[(32, 16, (64, 64), 64), (16, 4, (8, 8), 64)],
        dtype="float16",
    ),
    grid(
        "test_cudnn_attention_…: values of another width",
        shape=[
            *((32, 16, (640, 640), widths) for widths in ((128, 64), (256, 64), (192, 128))),
            *((32, 16, (1, 2), (128, 64)), (1, 2, (128, 128), (128, 144)), (1, 128, (512, 512), (192, 128))),
        ],
        dtype="bfloat16",
        direction=BOTH,
    ),
    grid("test_cudnn_attention_broadcast_stride_zero", shape=[(8, 2, (64, 16), (128, 64))], dtype=HALF, causal="top-left"),
    grid("test_cudnn_attention_gqa", shape=[(4, (32, 8), (512, 1024), 128)], dtype="bfloat16", causal="top-left"),
    grid(
        "test_cudnn_attention_nonmodulo64seqlen",
        shape=[(2, 32, (157, 6404), 128)],
        dtype="float16",
        mask="random-b1qk",
        direction=BOTH,
    ),
    grid(
        "test_cudnn_attention_mask_broken",
        shape=[(1, (8, 1), (10, 10), 8)],
        dtype="bfloat16",
        mask=["random-qk", "empty-rows-qk"],
    ),
    grid("test_cudnn_attention_broken", shape=[(20, 4, (4, 4), 32)], dtype="bfloat16", direction=BOTH),
    grid("test_cudnn_attention_compiles", shape=[(2, 8, (1024, 1024), 128)], dtype="float16", direction=BOTH),
    grid("test_cudnn_attention_preserves_query_layout", shape=[(4, 16, (256, 512), 64)], dtype="bfloat16", direction=BOTH),
    grid("test_onednn_attention_broadcasted_input", shape=[(32, 16, (128, 128), 32)], dtype="bfloat16", bias="normal-111k"),
)
