"""What PyTorch's fused CUDA kernels do not do, as an H100 with PyTorch 2.11 has shown, and what they are given instead."""

HALVES = ("bfloat16", "float16")

_TOO_LATE = "the memory-efficient kernel multiplies q by k before the scale, and overflows"
OVERFLOWS = {"cuda:logits/overflow-before-scale-float32": _TOO_LATE}

_SCORES_AGAIN = (
    "the memory-efficient kernel's backward pass computes scores again, rounded otherwise than those whose sum it has kept: "
    "large ones are far apart in the exponent"
)
LOSES_LARGE_SCORES = {
    "cuda:bias/times-[!0]*-gradients": _SCORES_AGAIN,
    "cuda:logits/saturated-rows-gradients": _SCORES_AGAIN,
    "cuda:gradients/huge-logits": _SCORES_AGAIN,
}


def loses_the_lowest(problem):
    """Reasons for `Supports.extra_check`. float16's lowest number, -65,504, is none of those that are lost."""
    if problem.dtype in ("float32", "bfloat16") and (problem.bias or "").startswith("lowest"):
        return ["the fused CUDA kernels give zero to a query whose biases are all the dtype's lowest number"]
    return []


def refused_by_efficient(problem):
    """Of the memory-efficient kernel: `check_head_dim_size_mem_efficient` in PyTorch's sdp_utils.cpp, and empty arrays."""
    reasons = loses_the_lowest(problem)
    if 0 in (problem.batch, problem.q_len, problem.kv_len):
        reasons.append("the memory-efficient kernel wants at least one batch element, query and key")
    whole = 8 if problem.dtype in HALVES else 4
    if problem.head_dim % whole or problem.v_head_dim % whole:
        reasons.append(f"the memory-efficient kernel wants head sizes in multiples of {whole}, which are 16 bytes")
    return reasons


def refused_by_cudnn(problem):
    """Of cuDNN's kernel: `check_cudnn_tensor_shapes` in PyTorch's sdp_utils.cpp."""
    reasons = loses_the_lowest(problem)
    if problem.head_dim % 8 or problem.v_head_dim % 8:
        reasons.append("cuDNN wants head sizes in multiples of 8")
    return reasons


def whole_rows(allowed, keys):
    """A mask or bias whose last axis has all keys, side by side in memory: the kernels refuse any other."""
    if allowed.shape[-1] == keys and allowed.stride(-1) == 1:
        return allowed
    return allowed.expand(*allowed.shape[:-1], keys).contiguous()


def zeros_in_empty_rows(o, allowed):
    """o, zero where a query may attend to nothing, by a boolean mask or a bias of -inf: cuDNN leaves something there."""
    import torch

    seen = allowed if allowed.dtype == torch.bool else allowed > -torch.inf
    return o.masked_fill(~seen.any(dim=-1, keepdim=True), 0)
