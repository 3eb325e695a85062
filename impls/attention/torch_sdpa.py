"""torch.nn.functional.scaled_dot_product_attention: with the kernel that it picks itself, and with each one pinned."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from harness.masks import causal_flag, combined_mask, four_axes
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from ._torch_cuda import (
    HALVES,
    LOSES_LARGE_SCORES,
    OVERFLOWS,
    loses_the_lowest,
    refused_by_cudnn,
    refused_by_efficient,
    whole_rows,
    zeros_in_empty_rows,
)

_NO_SOFTCAP = {"softcap": "scaled_dot_product_attention has no softcap"}
_ANY = replace(EVERYTHING, softcap=False, reasons=_NO_SOFTCAP)
_ONE_NUMBER = (
    "the backward pass of the CPU kernel keeps maximum and log of the sum as one number, and loses the sum beside it"
)


MOST_QUERIES_IN_HALF = 2**14
"""Queries of a key/value head from which on errors beyond the bound were seen, up to 3.4 times it at 65,537."""

_SUMS_IN_HALF = (
    f"the CPU kernel adds up dk and dv tile by tile in the half type, which loses them beyond {MOST_QUERIES_IN_HALF} queries"
)


def _loses_the_sum(problem):
    if problem.direction == "forward":
        return []
    long = problem.dtype in ("bfloat16", "float16") and problem.q_len * problem.group > MOST_QUERIES_IN_HALF
    return [*([_ONE_NUMBER] if (problem.bias or "").startswith("lowest") else []), *([_SUMS_IN_HALF] if long else [])]


def _loses_the_sum_where_fused(problem):
    """Unpinned, values of another width than keys go to the unfused kernel, which keeps the sum."""
    return _loses_the_sum(problem) if problem.v_head_dim == problem.head_dim else []


_UNPINNED_CPU = replace(_ANY, extra_check=_loses_the_sum_where_fused)
_FLASH_CPU = replace(
    _ANY,
    v_head_dim=False,
    reasons={**_NO_SOFTCAP, "v_head_dim": "the CPU kernel wants values as wide as keys"},
    extra_check=_loses_the_sum,
)
_FLASH_CUDA = replace(
    _ANY,
    v_head_dim=False,
    dtypes=("bfloat16", "float16"),
    causal=("top-left",),
    window=False,
    mask=False,
    bias=False,
    reasons={
        **_NO_SOFTCAP,
        "dtypes": "FlashAttention takes bfloat16 and float16 only",
        "causal": "the kernel aligns causal masks top-left only",
        "window": "the kernel takes no mask, hence no window",
        "mask": "the kernel takes no mask",
        "bias": "the kernel takes no mask, hence no bias",
        "v_head_dim": "the kernel wants values as wide as keys",
    },
)
_UNPINNED_CUDA = replace(_ANY, extra_check=loses_the_lowest)
_EFFICIENT = replace(
    _ANY,
    dtypes=("float32", "bfloat16", "float16"),
    grouped_heads=False,
    reasons={**_NO_SOFTCAP, "grouped_heads": "the memory-efficient kernel does not group heads"},
    extra_check=refused_by_efficient,
)
_CUDNN = replace(
    _ANY,
    dtypes=HALVES,
    reasons={**_NO_SOFTCAP, "dtypes": "cuDNN takes bfloat16 and float16 only"},
    extra_check=refused_by_cudnn,
)
_OVERFLOWS = {"cpu:logits/overflow-before-scale-float32": "the CPU kernel multiplies q by k before the scale, and overflows"}


def _bare(backend=None):
    """scaled_dot_product_attention as it is; only the named kernel is allowed, or any."""

    def library_call():
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        def call(q, k, v, *, mask, bias, causal, scale):
            given = mask if bias is None else bias
            grouped = q.shape[1] != k.shape[1]
            backends = torch.nn.attention.SDPBackend.__members__
            with torch.nn.attention.sdpa_kernel(backends[backend]) if backend else nullcontext():
                return scaled_dot_product_attention(
                    q, k, v, attn_mask=given, is_causal=causal, scale=scale, enable_gqa=grouped
                )

        return call

    return library_call


@implementation(
    "torch-sdpa",
    framework="torch",
    devices=("cpu", "cuda"),
    supports={"cpu": _UNPINNED_CPU, "cuda": _UNPINNED_CUDA},
    library_call=_bare(),
    known_failures={**_OVERFLOWS, **OVERFLOWS, **LOSES_LARGE_SCORES},
    fast_kernel="flash|efficient|cudnn",
)
def torch_sdpa(problem: Problem):
    """PyTorch SDPA with no kernel pinned: it picks a fused one where it can, else the unfused one."""
    return _sdpa(problem)


@implementation("torch-sdpa-math", framework="torch", devices=("cpu", "cuda"), supports=_ANY, library_call=_bare("MATH"))
def torch_sdpa_math(problem: Problem):
    """PyTorch SDPA, the unfused reference kernel; O(Lq·Lk) workspace."""
    return _sdpa(problem, "MATH")


@implementation(
    "torch-sdpa-flash",
    framework="torch",
    devices=("cpu", "cuda"),
    supports={"cpu": _FLASH_CPU, "cuda": _FLASH_CUDA},
    library_call=_bare("FLASH_ATTENTION"),
    known_failures={**_OVERFLOWS, "cpu:arrays/transposed*": "the CPU kernel wants the last axis contiguous"},
)
def torch_sdpa_flash(problem: Problem):
    """PyTorch SDPA, the fused kernel: its own on the CPU, FlashAttention-2 on CUDA."""
    return _sdpa(problem, "FLASH_ATTENTION")


@implementation(
    "torch-sdpa-efficient",
    framework="torch",
    devices=("cuda",),
    supports=_EFFICIENT,
    library_call=_bare("EFFICIENT_ATTENTION"),
    known_failures={
        **OVERFLOWS,
        **LOSES_LARGE_SCORES,
        "cuda:arrays/transposed-gradients": "the kernel wants the last axis contiguous",
    },
)
def torch_sdpa_efficient(problem: Problem):
    """PyTorch SDPA, the memory-efficient CUTLASS kernel."""
    return _sdpa(problem, "EFFICIENT_ATTENTION")


@implementation(
    "torch-sdpa-cudnn",
    framework="torch",
    devices=("cuda",),
    supports=_CUDNN,
    library_call=_bare("CUDNN_ATTENTION"),
)
def torch_sdpa_cudnn(problem: Problem):
    """PyTorch SDPA, the cuDNN kernel."""
    return _sdpa(problem, "CUDNN_ATTENTION")


def _allow_only(backend):
    """Allow one kernel, for the whole process: a context manager in every call would cost microseconds."""
    import torch

    torch.backends.cuda.enable_math_sdp(backend == "MATH")
    torch.backends.cuda.enable_flash_sdp(backend == "FLASH_ATTENTION")
    torch.backends.cuda.enable_mem_efficient_sdp(backend == "EFFICIENT_ATTENTION")
    torch.backends.cuda.enable_cudnn_sdp(backend == "CUDNN_ATTENTION")


def _sdpa(problem, backend=None):
    """The call; only the named kernel is allowed, or any."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    if backend:
        _allow_only(backend)

    # Beside a mask the unfused kernel refuses the flag.
    is_causal = causal_flag(problem, "top-left") and problem.mask is problem.bias is None
    by_cudnn = problem.dtype in HALVES and backend in (None, "CUDNN_ATTENTION")

    def attention(q, k, v, mask=None, bias=None):
        # The fused CPU kernel multiplies by the scale what the flag has set to -inf: +inf or nan where that is not positive.
        flag = is_causal and (problem.scale > 0 or q.device.type != "cpu")
        mask, bias = four_axes(mask), four_axes(bias)  # The fused kernel refuses masks of one axis or three.
        allowed = None if flag else combined_mask(problem, mask, partial(torch.arange, device=q.device))
        if bias is not None:
            allowed = bias if allowed is None else torch.where(allowed, bias, -torch.inf)
        if allowed is not None and q.is_cuda and backend != "MATH":
            allowed = whole_rows(allowed, problem.kv_len)
        o = scaled_dot_product_attention(
            q, k, v, attn_mask=allowed, is_causal=flag, scale=problem.scale, enable_gqa=problem.group > 1
        )
        return zeros_in_empty_rows(o, allowed) if q.is_cuda and by_cudnn and problem.may_have_empty_rows else o

    return attention
