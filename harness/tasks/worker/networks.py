"""Transformers around this project's multi-head layer. For workers only.

Pre-normalised blocks (Xiong et al. 2020, arXiv 2002.04745) with GELU and learned positions. A network is `out` of its
`features`: those who need the logits of a few positions only compute no others.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.layers.torch import MultiHeadAttention
from harness.tasks.batches import PADDING
from harness.tasks.recipe import Recipe


class Embedding(nn.Module):
    """Tokens (batch, length) as vectors (batch, length, width), with their positions."""

    def __init__(self, tokens: int, recipe: Recipe):
        super().__init__()
        self.tokens = nn.Embedding(tokens, recipe.width, padding_idx=PADDING)
        self.positions = nn.Embedding(_rounded(recipe.longest), recipe.width)
        self.dropout = nn.Dropout(recipe.dropout)
        nn.init.normal_(self.tokens.weight, std=recipe.width**-0.5)
        nn.init.normal_(self.positions.weight, std=recipe.width**-0.5)
        nn.init.zeros_(self.tokens.weight[PADDING])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device)))


class Block(nn.Module):
    """Attention to the text itself, to another one where there is one (`crossed`), and the feed-forward network."""

    def __init__(self, recipe: Recipe, attention: str, causal: str | None = None, crossed: bool = False):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(recipe.width) for _ in range(3 if crossed else 2))
        self.itself = MultiHeadAttention(recipe.width, recipe.heads, causal=causal, attention=attention)
        self.other = MultiHeadAttention(recipe.width, recipe.heads, attention=attention) if crossed else None
        inner = recipe.inner * recipe.width
        self.inner = nn.Sequential(
            nn.Linear(recipe.width, inner), nn.GELU(), nn.Linear(inner, recipe.width)
        ) if inner else None  # fmt: skip
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        other: torch.Tensor | None = None,
        other_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        x = x + self.dropout(self.itself(self.norms[0](x), mask=mask))
        if self.other is not None and other is not None:
            x = x + self.dropout(self.other(self.norms[1](x), other, mask=other_mask))
        return x if self.inner is None else x + self.dropout(self.inner(self.norms[-1](x)))


class Encoder(nn.Module):
    """Tokens (batch, length) as vectors that know their context."""

    def __init__(self, tokens: int, recipe: Recipe, attention: str, causal: str | None = None):
        super().__init__()
        self.embedding = Embedding(tokens, recipe)
        self.blocks = nn.ModuleList(Block(recipe, attention, causal) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(recipe.width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, mask = self.embedding(tokens), seen(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


class Classifier(nn.Module):
    """Which class a text is of: logits (batch, classes) from the mean over its tokens."""

    def __init__(self, tokens: int, classes: int, recipe: Recipe, attention: str):
        super().__init__()
        self.encoder = Encoder(tokens, recipe, attention)
        self.dropout = nn.Dropout(recipe.dropout)
        self.out = nn.Linear(recipe.width, classes)

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.dropout(mean_of_tokens(self.encoder(tokens), tokens))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(tokens))


class Predictor(nn.Module):
    """The next token at each position, from those up to it: logits (batch, length, tokens)."""

    def __init__(self, tokens: int, recipe: Recipe, attention: str):
        super().__init__()
        self.encoder = Encoder(tokens, recipe, attention, causal="top-left")
        self.out = nn.Linear(recipe.width, tokens, bias=False)
        self.out.weight = self.encoder.embedding.tokens.weight

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.encoder(tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(tokens))


class Translator(nn.Module):
    """The next token of a translation at each of its positions: logits (batch, length, tokens). One vocabulary for both.

    Vaswani et al. 2017, sec. 3.
    """

    def __init__(self, tokens: int, recipe: Recipe, attention: str):
        super().__init__()
        self.encoder = Encoder(tokens, recipe, attention)
        self.embedding = Embedding(tokens, recipe)
        self.embedding.tokens = self.encoder.embedding.tokens
        self.blocks = nn.ModuleList(Block(recipe, attention, "top-left", crossed=True) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(recipe.width)
        self.out = nn.Linear(recipe.width, tokens, bias=False)
        self.out.weight = self.encoder.embedding.tokens.weight

    def features(self, source: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encoder(source), source, translation)

    def forward(self, source: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(source, translation))

    def decode(self, encoded: torch.Tensor, source: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
        """`features` of a source that has been encoded."""
        x, mask = self.embedding(translation), seen(source)
        for block in self.blocks:
            x = block(x, None, encoded, mask)
        return self.norm(x)


def seen(tokens: torch.Tensor) -> torch.Tensor | None:
    """The mask (batch, 1, 1, length) that hides what fills up shorter texts; None where nothing does."""
    mask = tokens != PADDING
    return None if bool(mask.all()) else mask[:, None, None, :]


def mean_of_tokens(x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(batch, width): the mean of x (batch, length, width) over tokens that are no padding."""
    mask = (tokens != PADDING).unsqueeze(-1).to(x.dtype)
    return (x * mask).sum(1) / mask.sum(1).clamp(min=1)


def _rounded(longest: int) -> int:
    from harness.tasks.batches import STEP

    return -(-longest // STEP) * STEP
