"""The formula in PyTorch operations, eager and compiled."""

from functools import partial

from harness.masks import combined_mask
from harness.problem import Problem
from harness.registry import EVERYTHING, implementation

from ._toolchain import needs_cxx


@implementation("torch-eager", framework="torch", devices=("cpu", "cuda"), supports=EVERYTHING)
def torch_eager(problem: Problem):
    """The formula, one PyTorch operation after the other; O(Lq·Lk) workspace."""
    return _formula(problem)


@implementation(
    "torch-compile",
    framework="torch",
    devices=("cpu", "cuda"),
    supports=EVERYTHING,
    unavailable_reason=needs_cxx,
    slow_build=True,
)
def torch_compile(problem: Problem):
    """torch.compile of the same formula; the compiler may recognise it and call a fused kernel instead."""
    import torch

    torch.compiler.reset()  # Every problem is a new graph of the same code, and dynamo keeps only a few of those.
    return torch.compile(_formula(problem), fullgraph=True, dynamic=False)


def _formula(problem):
    import torch

    def attention(q, k, v, mask=None, bias=None):
        dtype = q.dtype
        if dtype in (torch.float16, torch.bfloat16):
            q, k, v = q.float(), k.float(), v.float()
        if problem.kv_len == 0:
            return (q.sum() * 0 + k.sum() + v.sum() + q.new_zeros(problem.o_shape)).to(dtype)
        if problem.group > 1:
            k, v = (x.repeat_interleave(problem.group, dim=1) for x in (k, v))
        scores = (q * problem.scale) @ k.mT
        if problem.softcap is not None:
            scores = problem.softcap * torch.tanh(scores / problem.softcap)
        if bias is not None:
            scores = scores + bias
        visible = combined_mask(problem, mask, partial(torch.arange, device=q.device))
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        weights = _softmax_or_zeros(scores) if problem.may_have_empty_rows else torch.softmax(scores, dim=-1)
        return (weights @ v).to(dtype)

    def _softmax_or_zeros(scores):
        """Softmax whose rows of -inf are zeros, in the gradient too; torch.softmax would give nan."""
        m = scores.detach().amax(dim=-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
        weights = torch.exp(scores - m)
        total = weights.sum(dim=-1, keepdim=True)
        return weights / torch.where(total > 0, total, 1.0)

    return attention
