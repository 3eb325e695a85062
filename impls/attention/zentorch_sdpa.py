"""zentorch, AMD's plug-in for PyTorch on the CPU: its attention operator."""

import importlib.metadata
import importlib.util
import threading
from dataclasses import replace
from pathlib import Path

from harness.masks import causal_flag, combined_mask, four_axes
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

_SUPPORTS = replace(
    EVERYTHING,
    dtypes=("float32", "bfloat16"),
    softcap=False,
    v_head_dim=False,
    gradients=False,
    reasons={
        "dtypes": "zentorch_sdpa computes scores and sums of float16 in float16, and leaves float64 to PyTorch's own kernel",
        "softcap": "zentorch_sdpa has no softcap",
        "v_head_dim": "zentorch_sdpa wants values as wide as keys",
        "gradients": "zentorch_sdpa has no backward pass; autograd warns and leaves the gradients out",
    },
)

_ONE_CALL = threading.Lock()
"""Held during a call: two at once hang or are wrong, zentorch 2.13.0.2. Seen in a debugger, the threads of both wait for
others in the barrier of a matrix product."""


def _unavailable(device):
    if importlib.util.find_spec("zentorch") is None:
        return "zentorch is not installed; install it with pip install 'attention-harness[zentorch]'"
    if "avx512_bf16" not in _processor_flags():
        return "zentorch's kernel needs a processor with AVX512-BF16; elsewhere its operator calls PyTorch's own"
    return _version_mismatch()


def _processor_flags():
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.exists() else []


def _version_mismatch():
    """Its library is linked against one minor version of PyTorch, which its own version repeats."""
    try:
        zentorch, torch = (importlib.metadata.version(name) for name in ("zentorch", "torch"))
    except importlib.metadata.PackageNotFoundError:  # A weekly build has another name.
        return None
    if zentorch.split(".")[:2] == torch.split(".")[:2]:
        return None
    return f"zentorch {zentorch} is made for torch {'.'.join(zentorch.split('.')[:2])}, and torch {torch} is installed"


def _operator():
    """torch.ops.zentorch.zentorch_sdpa.

    Only the library of operators is loaded: the package around it serves torch.compile, and changes that for the process.
    """
    import torch

    (folder,) = importlib.util.find_spec("zentorch").submodule_search_locations
    torch.ops.load_library(str(Path(folder, "libzentorch.so")))
    return torch.ops.zentorch.zentorch_sdpa


def _bare():
    """zentorch_sdpa as it is."""
    sdpa = _operator()

    def call(q, k, v, *, mask, bias, causal, scale):
        return sdpa(q, k, v, 0.0, causal, attn_mask=mask if bias is None else bias, scale=scale)[0]

    return call


@implementation(
    "zentorch",
    framework="torch",
    supports=_SUPPORTS,
    unavailable_reason=_unavailable,
    library_call=_bare,
    fast_kernel="zentorch",
    known_failures={
        "logits/overflow-before-scale-float32": "the kernel multiplies q by k before the scale, and overflows",
        "arrays/transposed*": "the kernel wants the last axis contiguous",
    },
)
def zentorch_sdpa(problem: Problem):
    """AMD's zentorch_sdpa, one call at a time; boolean masks, and bands that its causal flag cannot say, become biases."""
    import torch

    if not problem.score_elements:  # The operator refuses arrays without elements.
        return lambda q, k, v, **extras: q.new_zeros(problem.o_shape)
    sdpa = _operator()
    # The kernel multiplies by the scale what its flag has set to -inf: +inf or nan where that is not positive.
    is_causal = causal_flag(problem, "top-left") and problem.scale > 0

    def attention(q, k, v, mask=None, bias=None):
        if not problem.scale:  # To the operator a scale of zero is the default one.
            q = q * 0
        mask, bias = four_axes(mask), four_axes(bias)  # The operator refuses masks of one axis or three.
        allowed = mask if is_causal else combined_mask(problem, mask, torch.arange)
        added = bias
        if allowed is not None:
            added = torch.where(allowed, q.new_zeros(()) if bias is None else bias, -torch.inf)
        if added is not None and added.shape[-1] != problem.kv_len:  # It broadcasts every axis but the last.
            added = added.expand(*added.shape[:-1], problem.kv_len).contiguous()
        with _ONE_CALL:
            return sdpa(q, k, v, 0.0, is_causal, attn_mask=added, scale=problem.scale or 1.0)[0]

    return attention
