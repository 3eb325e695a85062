"""A worker in which a network is trained with one implementation of attention."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.data.examples import TEST, TRAIN, VALIDATION
from harness.frameworks.torch import use_threads
from harness.layers import torch_kernels
from harness.plugins.origin import Origin
from harness.plugins.registry import find
from harness.tasks import catalogue, sources, translating
from harness.tasks.messages import Finish, Finished, Opened, Save, Train, Trained
from harness.tasks.recipe import Recipe
from harness.tasks.worker import building, decoding, learner, material, networks
from harness.workers.messages import Request

STATE, MODEL, TRANSLATIONS = "state.pt", "model.pt", "translations.txt"
_SHOWN = 5


class TrainingSession:
    """Trains a network; its state and the model lie in `folder`, the vocabulary for all implementations in `shared`."""

    def __init__(
        self, recipe: Mapping[str, Any], attention: str, origin: Origin | None, folder: str, threads: int, shaken: bool
    ):
        use_threads(threads)
        self._recipe, self._folder = Recipe.from_json(recipe), Path(folder)
        if origin is not None:
            torch_kernels.ADDED[attention] = find(origin, attention)
        self._material = self._loaded()
        network = building.built(self._recipe, attention, self._material.tokens, len(self._material.labels))
        if shaken:
            shake(network)
        samples = self._material.samples
        self._learner = learner.Learner(network, self._recipe, samples[TRAIN], samples[VALIDATION])
        if (self._folder / STATE).is_file():
            self._learner.load(self._folder / STATE)

    def _loaded(self) -> material.Material:
        recipe = self._recipe
        task = catalogue.task(recipe.task)
        if task.kind == catalogue.RECALL:
            return material.of_recall(recipe)
        self._examples = sources.of_recipe(recipe)
        return material.of_texts(recipe, self._examples, self._folder.parent)

    @property
    def ready(self) -> Opened:
        """Sizes, and how far an earlier session came."""
        parameters = sum(p.numel() for p in self._learner.network.parameters())
        samples = {part: len(some) for part, some in self._material.samples.items()}
        return Opened(parameters, samples, self._learner.step, self._learner.seconds)

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        """What answers each kind of request."""
        return {Train: self.train, Save: self.save, Finish: self.finish}

    def train(self, request: Train) -> Trained:
        """Some steps."""
        points = []
        until = time.perf_counter() + request.seconds
        for _ in range(request.steps):
            points += self._learner.train(1)
            if self._learner.done or time.perf_counter() > until:
                break
        return Trained(tuple(points), self._learner.done)

    def save(self, _: Save) -> bool:
        """The state, to go on from."""
        self._learner.save(self._folder / STATE)
        return True

    def finish(self, _: Finish) -> Finished:
        """The model, as it was when it did best on the validation part, and its scores."""
        made = self._material
        self._learner.take_best()
        learner.write(
            {
                "recipe": self._recipe.to_json(),
                "network": self._learner.network.state_dict(),
                "tokens": made.tokens,
                "labels": list(made.labels),
            },
            self._folder / MODEL,
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if isinstance(self._learner.network, networks.Translator):
            return Finished(*self._translated(self._learner.network), peak)
        score = self._learner.evaluate(made.samples[TEST])
        return Finished({"accuracy": score.accuracy, "loss": score.loss}, {}, peak)

    def _translated(self, network: networks.Translator) -> tuple[dict[str, float], dict[str, Any]]:
        """Scores of greedy translations and of those by beam search, and some of the latter; all lie beside the model."""
        recipe, known = self._recipe, self._material.vocabulary
        assert known is not None
        pairs = translating.tested(self._examples)
        samples = self._material.samples[TEST][: len(pairs)]
        known_new = self._folder.parent / translating.NEW
        new = json.loads(known_new.read_text(encoding="utf-8")) if known_new.is_file() else [False] * len(pairs)
        scores: dict[str, float] = {}
        for name, width in (("greedy", 1), ("beam", decoding.BEAM)):
            found = decoding.translations(network, samples, recipe.longest, width, recipe.batch)
            said = [known.text(numbers) for numbers in found]
            named = translating.scores(recipe.data, said, pairs, new)
            scores |= {f"{key}_{name}" if width == 1 else key: value for key, value in named.items()}
        (self._folder / TRANSLATIONS).write_text("".join(f"{one}\n" for one in said), encoding="utf-8")
        shown = zip(pairs[:_SHOWN], said, strict=False)
        return scores, {"translations": [(pair.text, pair.target, one) for pair, one in shown]}


@torch.no_grad()
def shake(network: nn.Module) -> None:
    """Change every weight by up to one rounding."""
    draw = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        unit = torch.finfo(parameter.dtype).eps
        parameter.mul_(1 + unit * (torch.rand(parameter.shape, generator=draw, dtype=parameter.dtype) * 2 - 1))
