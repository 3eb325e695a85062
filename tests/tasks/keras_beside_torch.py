"""Trains one network with PyTorch and with Keras, from the same weights; prints the losses of both. For test_training.py."""

import json
import os

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

import keras
import numpy as np
import torch

from harness.tasks.batches import Sample, Shuffled
from harness.tasks.recipe import Recipe
from harness.tasks.worker import keras_session
from harness.tasks.worker.learner import Learner
from harness.tasks.worker.networks import Classifier

TOKENS, CLASSES, STEPS = 30, 3, 12
PARTS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}


def main() -> None:
    keras.config.set_floatx("float64")
    recipe = Recipe(
        task="text-classification", data="made", width=16, heads=2, layers=2, dropout=0.0, learning_rate=0.03,
        weight_decay=0.1, batch=8, steps=20, longest=12, validations=1, seed=1,
    )  # fmt: skip
    draw = np.random.default_rng(0)
    samples = [
        Sample((draw.integers(1, TOKENS, draw.integers(3, 12)).tolist(),), int(draw.integers(CLASSES))) for _ in range(64)
    ]
    torch.manual_seed(0)
    network = Classifier(TOKENS, CLASSES, recipe, "sdpa").double()
    model = keras_session.compiled(recipe, TOKENS, CLASSES)
    copy(network, model)
    torch_losses = [point.loss for point in Learner(network, recipe, samples, samples).train(STEPS)]
    batches, keras_losses = Shuffled(samples, recipe.batch, recipe.seed), []
    for step in range(STEPS):
        model.reset_metrics()
        targets = keras.utils.to_categorical(batches[step].targets, CLASSES)
        keras_losses.append(float(model.train_on_batch(batches[step].inputs[0].astype(np.int32), targets)[0]))
    print(json.dumps({"torch": torch_losses, "keras": keras_losses}))


def copy(network: Classifier, model: keras.Model) -> None:
    """Give the Keras model the weights of the other."""
    encoder = network.encoder
    norms = iter([*(norm for block in encoder.blocks for norm in block.norms), encoder.norm])
    dense = iter([*(one for block in encoder.blocks for one in (block.inner[0], block.inner[2])), network.out])
    attentions = iter(block.itself for block in encoder.blocks)
    for layer in model.layers:
        if isinstance(layer, keras_session.Tokens):
            layer.embeddings.assign(encoder.embedding.tokens.weight.detach().numpy())
        elif isinstance(layer, keras_session.Positions):
            layer.positions.assign(encoder.embedding.positions.weight.detach().numpy())
        elif isinstance(layer, keras.layers.LayerNormalization):
            one = next(norms)
            layer.set_weights([one.weight.detach().numpy(), one.bias.detach().numpy()])
        elif isinstance(layer, keras.layers.Dense):
            one = next(dense)
            layer.set_weights([one.weight.detach().numpy().T, one.bias.detach().numpy()])
        elif isinstance(layer, keras_session.MultiHeadAttention):
            one = next(attentions)
            for part, name in PARTS.items():
                layer.kernels[part].assign(getattr(one, name).weight.detach().numpy().T)
                layer.biases[part].assign(getattr(one, name).bias.detach().numpy())
    assert not any(True for rest in (norms, dense, attentions) for _ in rest)


if __name__ == "__main__":
    main()
