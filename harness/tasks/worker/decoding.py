"""Translations from a trained network, greedily or by beam search. For workers only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from harness.tasks.batches import PADDING, Sample
from harness.tasks.worker.networks import Translator
from harness.tasks.worker.tensors import collated
from harness.tasks.worker.vocabulary import BEGIN, END, SPECIAL

BEAM = 4
LENGTH_PENALTY = 0.6
"""Wu et al. 2016, arXiv 1609.08144, eq. 14: the exponent of a translation's length."""

_BEGIN, _END = SPECIAL.index(BEGIN), SPECIAL.index(END)


def translations(
    network: Translator, samples: Sequence[Sample], longest: int, width: int, batch: int
) -> Iterator[list[int]]:
    """The tokens of a translation for each sample, in their order; `width` 1 is greedy."""
    network.eval()
    order = sorted(range(len(samples)), key=lambda n: len(samples[n].inputs[0]))
    found: dict[int, list[int]] = {}
    for start in range(0, len(order), batch):
        some = order[start : start + batch]
        sources = collated([Sample((samples[n].inputs[0],), 0) for n in some]).inputs[0]
        found.update(zip(some, beam(network, sources, longest, width), strict=True))
    return (found[n] for n in range(len(samples)))


@torch.no_grad()
def beam(network: Translator, source: torch.Tensor, longest: int, width: int) -> list[list[int]]:
    """The best of `width` hypotheses for each source (batch, length), without its first and last token."""
    count = source.shape[0]
    encoded = network.encoder(source).repeat_interleave(width, 0)
    sources = source.repeat_interleave(width, 0)
    tokens = torch.full((count * width, 1), _BEGIN)
    scores = torch.full((count, width), -torch.inf)
    scores[:, 0] = 0.0  # All hypotheses are the same at first.
    ended = torch.zeros(count * width, dtype=torch.bool)
    first_row = torch.arange(count)[:, None] * width
    for _ in range(longest):
        logs = network.out(network.decode(encoded, sources, tokens)[:, -1]).log_softmax(-1)
        logs[:, [PADDING, _BEGIN]] = -torch.inf
        logs[ended] = -torch.inf
        logs[ended, PADDING] = 0.0  # What has ended stays as it is.
        whole = (scores.flatten()[:, None] + logs).view(count, -1)
        scores, chosen = whole.topk(width, dim=1)
        rows = (first_row + chosen // logs.shape[1]).flatten()
        following = (chosen % logs.shape[1]).flatten()
        tokens = torch.cat([tokens[rows], following[:, None]], 1)
        ended = ended[rows] | (following == _END)
        if ended.all():
            break
    lengths = (tokens[:, 1:] != PADDING).sum(1).view(count, width)
    best = (scores / ((5 + lengths) / 6) ** LENGTH_PENALTY).argmax(1)
    return [[n for n in row[1:] if n not in (_END, PADDING)] for row in tokens[first_row[:, 0] + best].tolist()]
