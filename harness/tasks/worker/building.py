"""The network of a recipe. For workers only."""

from __future__ import annotations

import torch
from torch import nn

from harness.tasks import catalogue
from harness.tasks.recipe import TRANSFORMER, Recipe
from harness.tasks.worker import networks, recurrent


def built(recipe: Recipe, attention: str, tokens: int, classes: int) -> nn.Module:
    """The network of a recipe, with the weights that its seed draws, whatever its attention."""
    kind = catalogue.task(recipe.task).kind
    torch.manual_seed(recipe.seed)
    if kind == catalogue.TRANSLATION:
        return networks.Translator(tokens, recipe, attention)
    if kind == catalogue.RECALL:
        if recipe.model == TRANSFORMER:
            return networks.Predictor(tokens, recipe, attention)
        return recurrent.Predictor(tokens, recipe)
    if recipe.model == TRANSFORMER:
        return networks.Classifier(tokens, classes, recipe, attention)
    return recurrent.Classifier(tokens, classes, recipe)
