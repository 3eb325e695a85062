"""What the PyTorch implementations share: the visible part of the score matrix as a boolean tensor."""

from harness.problem import Problem


def band(problem: Problem, device):
    """(Lq, Lk) boolean, True where causality and window let the query see the key; None when they hide nothing."""
    import torch

    if not problem.banded:
        return None
    distance = torch.arange(problem.kv_len, device=device) - torch.arange(problem.q_len, device=device)[:, None]
    low, high = problem.band
    return (distance >= low) & (distance <= high)


def seen(problem: Problem, mask, device):
    """The band and the boolean mask together, or None."""
    inside = band(problem, device)
    if inside is None or mask is None:
        return inside if mask is None else mask
    return inside & mask
