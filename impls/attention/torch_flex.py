"""torch.nn.attention.flex_attention, compiled."""

from dataclasses import replace

from harness.masks import broadcast_element, four_axes, in_band
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from ._toolchain import needs_cxx
from ._torch_cuda import loses_the_lowest

_CPU = replace(
    EVERYTHING,
    dtypes=("float32", "bfloat16", "float16"),
    gradients=False,
    reasons={"gradients": "flex_attention has no backward pass on the CPU", "dtypes": "no float64 kernel"},
)
_CUDA = replace(EVERYTHING, dtypes=_CPU.dtypes, reasons={"dtypes": "no float64 kernel"}, extra_check=loses_the_lowest)


def _bare():
    """flex_attention as it is, not compiled; a mask is a function of its user's, here one that looks it up."""
    from torch.nn.attention.flex_attention import flex_attention

    def call(q, k, v, *, mask, bias, causal, scale):
        if causal:
            raise ValueError("flex_attention has no causal flag; its user writes the comparison")

        def look_up(s, b, h, i, j):
            s = s if bias is None else s + bias[b, h, i, j]
            return s if mask is None else s.where(mask[b, h, i, j], float("-inf"))

        changed = mask is not None or bias is not None
        grouped = q.shape[1] != k.shape[1]
        return flex_attention(q, k, v, score_mod=look_up if changed else None, scale=scale, enable_gqa=grouped)

    return call


@implementation(
    "torch-flex",
    framework="torch",
    devices=("cpu", "cuda"),
    supports={"cpu": _CPU, "cuda": _CUDA},
    unavailable_reason=needs_cxx,
    slow_build=True,
    library_call=_bare,
)
def torch_flex(problem: Problem):
    """Compiled flex_attention: softcap, bias and mask as a score_mod, causality and window as a block mask."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch.compiler.reset()  # Every problem is a new graph of the same code, and dynamo keeps only a few of those.
    low, high = problem.band

    def mask_mod(b, h, i, j):
        return in_band(i, j, low, high)

    block_mask = None
    if problem.banded:
        block_mask = create_block_mask(mask_mod, None, None, problem.q_len, problem.kv_len, device=_device(torch))

    @torch.compile(fullgraph=True, dynamic=False)
    def attention(q, k, v, mask=None, bias=None):
        mask, bias = four_axes(mask), four_axes(bias)

        def score_mod(s, b, h, i, j):
            if problem.softcap is not None:
                s = problem.softcap * torch.tanh(s / problem.softcap)
            if bias is not None:
                s = s + broadcast_element(bias, b, h, i, j)
            if mask is not None:
                s = torch.where(broadcast_element(mask, b, h, i, j), s, -torch.inf)
            return s

        changed = problem.softcap is not None or bias is not None or mask is not None
        return flex_attention(
            q,
            k,
            v,
            score_mod=score_mod if changed else None,
            block_mask=block_mask,
            scale=problem.scale,
            enable_gqa=problem.group > 1,
        )

    return attention


def _device(torch):
    return "cuda" if torch.cuda.is_available() else "cpu"
