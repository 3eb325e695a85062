"""A right layer of PyTorch, as somebody would write it."""

import torch
from torch import nn


class Attention(nn.Module):
    """Its three projections are one matrix."""

    def __init__(self, dim, n_heads, bias=True):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.proj = nn.Linear(dim, dim, bias=bias)

    def forward(self, x, mask=None):
        batch, length, width = x.shape
        q, k, v = (part.view(batch, length, self.n_heads, -1).transpose(1, 2) for part in self.qkv(x).split(width, dim=-1))
        out = nn.functional.scaled_dot_product_attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(batch, length, width))


class CrossAttention(nn.Module):
    """Its weights are matrices of its own, and none of its names is short."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.W_query, self.W_key, self.W_value, self.W_out = (
            nn.Parameter(torch.randn(embed_dim, embed_dim) / embed_dim**0.5) for _ in range(4)
        )

    def split(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, query, key, value):
        q, k, v = self.split(query @ self.W_query), self.split(key @ self.W_key), self.split(value @ self.W_value)
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2) @ self.W_out, weights


class Wrapped(nn.Module):
    """A name that says nothing."""

    def __init__(self, size, parts):
        super().__init__()
        self.inner = Attention(size, parts)

    def forward(self, x):
        return self.inner(x)


class NoScale(Attention):
    """Right but for its scores."""

    def forward(self, x, mask=None):
        batch, length, width = x.shape
        q, k, v = (part.view(batch, length, self.n_heads, -1).transpose(1, 2) for part in self.qkv(x).split(width, dim=-1))
        out = nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=1.0)
        return self.proj(out.transpose(1, 2).reshape(batch, length, width))


class Causal(Attention):
    """Right, and of no use to an encoder."""

    def __init__(self, n_embd, n_head, block_size, dropout):
        super().__init__(n_embd, n_head)
        self.register_buffer("seen", torch.tril(torch.ones(block_size, block_size, dtype=torch.bool)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        length = x.shape[1]
        return self.dropout(super().forward(x, self.seen[:length, :length]))


class NoOutput(nn.Module):
    """Three matrices."""

    def __init__(self, width, heads):
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x):
        return self.first(x)


class NoLayer:
    """A class like any other."""


class Raises(Attention):
    """Cannot be called."""

    def forward(self, x):
        raise ArithmeticError("today is not a day for sums")
