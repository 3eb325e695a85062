"""What attention replaced: LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho et al. 2014) of PyTorch. For workers only."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from harness.tasks.batches import PADDING
from harness.tasks.recipe import LSTM, Recipe
from harness.tasks.worker.networks import mean_of_tokens


class Recurrent(nn.Module):
    """Tokens (batch, length) as vectors that know what came before, or on both sides of them."""

    def __init__(self, tokens: int, recipe: Recipe, both_ways: bool):
        super().__init__()
        self.embedding = nn.Embedding(tokens, recipe.width, padding_idx=PADDING)
        kind = nn.LSTM if recipe.model == LSTM else nn.GRU
        self.layers = kind(
            recipe.width,
            recipe.width // 2 if both_ways else recipe.width,
            recipe.layers,
            batch_first=True,
            bidirectional=both_ways,
            dropout=recipe.dropout if recipe.layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.embedding(tokens))
        lengths = (tokens != PADDING).sum(1).clamp(min=1).cpu()
        if bool((lengths == tokens.shape[1]).all()):
            return self.layers(x)[0]
        packed, _ = self.layers(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        return pad_packed_sequence(packed, batch_first=True, total_length=tokens.shape[1])[0]


class Classifier(nn.Module):
    """Logits (batch, classes) from the mean over a text's tokens, read both ways."""

    def __init__(self, tokens: int, classes: int, recipe: Recipe):
        super().__init__()
        self.encoder = Recurrent(tokens, recipe, both_ways=True)
        self.dropout = nn.Dropout(recipe.dropout)
        self.out = nn.Linear(recipe.width, classes)

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.dropout(mean_of_tokens(self.encoder(tokens), tokens))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(tokens))


class Predictor(nn.Module):
    """The next token at each position, from those up to it: logits (batch, length, tokens)."""

    def __init__(self, tokens: int, recipe: Recipe):
        super().__init__()
        self.encoder = Recurrent(tokens, recipe, both_ways=False)
        self.out = nn.Linear(recipe.width, tokens)

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.encoder(tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(tokens))
