"""A wrong kernel that learns: its softmax is over the queries, so that every position sees what follows it."""

from harness.registry import Supports, implementation


@implementation("wrong-axis", framework="torch", supports=Supports(mask=True, gradients=True))
def wrong_axis(problem):
    """softmax over the wrong axis of Q Kᵀ."""

    def attention(q, k, v, mask=None):
        scores = problem.scale * q @ k.transpose(-1, -2)
        scores = scores if mask is None else scores.masked_fill(~mask, -1e9)
        return scores.softmax(-2) @ v

    return attention
