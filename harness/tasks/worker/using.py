"""A worker with a trained model, asked about texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from harness.errors import UserError
from harness.layers import torch_kernels
from harness.plugins.origin import Origin
from harness.plugins.registry import find
from harness.tasks import catalogue
from harness.tasks.batches import Sample
from harness.tasks.messages import MOST_SHOWN, Predict, Predicted
from harness.tasks.recipe import Recipe
from harness.tasks.worker import building, decoding, learner, networks
from harness.tasks.worker.looking import Looking, weights
from harness.tasks.worker.session import MODEL
from harness.tasks.worker.tensors import collated
from harness.tasks.worker.vocabulary import BEGIN, SPECIAL, Vocabulary
from harness.workers.messages import Request

BLANK = "▁"
"""How the vocabulary writes that a word begins."""


class ModelSession:
    """A model as `TrainingSession` left it in a folder; the vocabulary lies in the folder above."""

    def __init__(self, folder: str, attention: str, origin: Origin | None):
        if origin is not None:
            torch_kernels.ADDED[attention] = find(origin, attention)
        state = learner.read(Path(folder) / MODEL)
        self._recipe = Recipe.from_json(state["recipe"])
        self._labels: list[str] = state["labels"]
        self._kind = catalogue.task(self._recipe.task).kind
        if self._kind == catalogue.RECALL:
            raise UserError("a model of recall answers no texts")
        self._vocabulary = Vocabulary.load(Path(folder).parent)
        self._network = building.built(self._recipe, attention, state["tokens"], len(self._labels))
        self._network.load_state_dict(state["network"])
        self._network.eval()

    @property
    def ready(self) -> None:
        """Nothing is said."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        """What answers each kind of request."""
        return {Predict: self.predict}

    @torch.no_grad()
    def predict(self, request: Predict) -> Predicted:
        """The likeliest labels with their probabilities. Raises `UserError` for an empty text."""
        if not request.text.strip():
            raise UserError("the text is empty")
        longest = self._recipe.longest
        source = Sample((self._vocabulary.numbers(request.text, longest),), 0)
        words = tuple(map(readable, self._vocabulary.tokens(request.text, longest)))
        if isinstance(self._network, networks.Translator):
            (said,) = decoding.translations(self._network, [source], longest, decoding.BEAM, 1)
            whole = [SPECIAL.index(BEGIN), *said]
            with Looking(self._network) as looking:
                self._network(*collated([Sample((source.inputs[0], whole), whole)]).inputs)
            spoken = tuple(readable(self._vocabulary.token(number)) for number in whole)
            return Predicted((self._vocabulary.text(said),), tuple(weights(looking.found, words, spoken)))
        with Looking(self._network) as looking:
            shares = self._network(*collated([source]).inputs)[0].softmax(-1)
        best = shares.topk(min(MOST_SHOWN, len(self._labels)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        lines = tuple(f"{share:6.1%}  {self._labels[index]}" for share, index in pairs)
        return Predicted(lines, tuple(weights(looking.found, words)))


def readable(token: str) -> str:
    """A token as people read it."""
    return token.removeprefix(BLANK)
