"""The weights of attention of a trained model over the words of a text. For workers only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.layers.torch import MultiHeadAttention


@dataclass(frozen=True)
class Weights:
    """Of one layer: what its queries and keys are, and (heads, queries, keys) of weights."""

    layer: str
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    weights: list[list[list[float]]]


class Looking:
    """Collects the weights of every layer of attention while it is entered, for one text at a time.

    A kernel gives its weights where the values are the rows of the identity: what is shown is what the kernel computes.
    """

    def __init__(self, network: nn.Module):
        self._layers = [(name, one) for name, one in network.named_modules() if isinstance(one, MultiHeadAttention)]
        self.found: list[tuple[str, torch.Tensor]] = []

    def __enter__(self) -> Looking:
        for name, layer in self._layers:
            self._watch(name, layer)
        return self

    def __exit__(self, *_: object) -> None:
        for _, layer in self._layers:
            del layer._attend

    def _watch(self, name: str, layer: MultiHeadAttention) -> None:
        attend = layer._attend

        def watched(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            keys = k.shape[2]
            identity = torch.eye(keys, dtype=k.dtype).expand(*k.shape[:2], keys, keys)
            self.found.append((name, attend(q, k, identity, mask)[0]))
            return attend(q, k, v, mask)

        layer._attend = watched  # type: ignore[method-assign]


def weights(found: list[tuple[str, torch.Tensor]], words: tuple[str, ...], said: tuple[str, ...] = ()) -> list[Weights]:
    """The weights with their words: of a text, or of a source and the translation that is `said`, its last token apart."""
    made = []
    for name, tensor in found:
        of_decoder = name.startswith("blocks")
        crossed = name.endswith("other")
        queries, keys = (said if of_decoder else words), (words if crossed or not of_decoder else said)
        made.append(Weights(_called(name), queries, keys, tensor[:, : len(queries), : len(keys)].tolist()))
    return made


def _called(name: str) -> str:
    parts = name.split(".")
    number = next((int(part) + 1 for part in parts if part.isdigit()), 1)
    if parts[0] == "blocks":
        return f"translation to source, layer {number}" if parts[-1] == "other" else f"translation to itself, layer {number}"
    return f"layer {number}"
