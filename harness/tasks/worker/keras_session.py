"""A worker in which a text classifier is trained as Keras trains: this project's layer in a model, compiled and fitted.

As the article that this project grew from does it: an embedding of tokens and positions, a block of attention, the mean over
tokens, and a dense layer. Served to the same parent as `session.TrainingSession`.
"""

from __future__ import annotations

import json
import math
import resource
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from harness.data.examples import TEST, TRAIN, VALIDATION
from harness.errors import UserError
from harness.layers.keras import MultiHeadAttention
from harness.plugins.origin import Origin
from harness.tasks import sources
from harness.tasks.batches import PADDING, STEP, Sample, Shuffled, collated
from harness.tasks.curves import Point
from harness.tasks.messages import MOST_SHOWN, Finish, Finished, Opened, Predict, Predicted, Save, Train, Trained
from harness.tasks.plan import TaskFolder
from harness.tasks.recipe import CLIP, EPSILON, FALL, RISE, Recipe
from harness.tasks.worker import material
from harness.tasks.worker.vocabulary import Vocabulary
from harness.workers.messages import Request

STATE, MODEL = "state.npz", "model.keras"


@keras.saving.register_keras_serializable("attention_harness")
class Positions(keras.layers.Layer):
    """Adds a learnt vector to each position."""

    def __init__(self, longest: int, **given: Any):
        super().__init__(**given)
        self.longest = longest

    def build(self, shape: Any) -> None:
        self.positions = self.add_weight(shape=(self.longest, shape[-1]), initializer=_normal(shape[-1]), name="positions")

    def call(self, x: Any) -> Any:
        return x + self.positions[: keras.ops.shape(x)[1]]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "longest": self.longest}


@keras.saving.register_keras_serializable("attention_harness")
class MeanOfTokens(keras.layers.Layer):
    """(batch, length, width) and a mask (batch, length) -> (batch, width)."""

    def call(self, inputs: Any) -> Any:
        x, seen = inputs
        weights = keras.ops.cast(seen, x.dtype)[..., None]
        return keras.ops.sum(x * weights, 1) / keras.ops.maximum(keras.ops.sum(weights, 1), 1.0)


@keras.saving.register_keras_serializable("attention_harness")
class Seen(keras.layers.Layer):
    """Tokens (batch, length) -> boolean, True = no padding."""

    def call(self, tokens: Any) -> Any:
        return keras.ops.not_equal(tokens, PADDING)


@keras.saving.register_keras_serializable("attention_harness")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rates as PyTorch's `OneCycleLR` has them: two halves of cosines, which meet at the step `peak`."""

    def __init__(self, highest: float, peak: float, steps: int):
        super().__init__()
        self.highest, self.peak, self.steps = highest, peak, steps

    def __call__(self, step: Any) -> Any:
        first, at = self.highest / RISE, keras.ops.cast(step, "float32")
        rising = _between(first, self.highest, at / self.peak)
        falling = _between(self.highest, first / FALL, (at - self.peak) / max(1.0, self.steps - self.peak))
        return keras.ops.where(at <= self.peak, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {"highest": self.highest, "peak": self.peak, "steps": self.steps}


def _between(start: float, end: float, share: Any) -> Any:
    return end + (start - end) / 2 * (1 + keras.ops.cos(math.pi * share))


@tf.custom_gradient
def _summed(table: Any) -> Any:
    """The same. A token's gradients are one where it stands in a batch several times: Keras's Adam, which is given them one
    by one, adds their squares, where it should square their sum."""
    return tf.identity(table), tf.convert_to_tensor


@keras.saving.register_keras_serializable("attention_harness")
class Tokens(keras.layers.Embedding):
    """(batch, length) -> (batch, length, width)."""

    def call(self, tokens: Any) -> Any:
        return keras.ops.take(_summed(keras.ops.convert_to_tensor(self.embeddings)), tokens, axis=0)


def classifier(recipe: Recipe, tokens: int, classes: int) -> keras.Model:
    """The model of a recipe: logits (batch, classes)."""
    keras.utils.set_random_seed(recipe.seed)
    words = keras.Input((None,), dtype="int32")
    seen = Seen()(words)
    x = Tokens(tokens, recipe.width, embeddings_initializer=_normal(recipe.width))(words)
    x = keras.layers.Dropout(recipe.dropout)(Positions(-(-recipe.longest // STEP) * STEP)(x))
    for _ in range(recipe.layers):
        y = _normalised(x)
        mask = keras.layers.Reshape((1, 1, -1))(seen)
        x = x + keras.layers.Dropout(recipe.dropout)(MultiHeadAttention(num_heads=recipe.heads)(y, attention_mask=mask))
        if recipe.inner:
            inner = recipe.inner * recipe.width
            y = _dense(recipe.width, inner, "gelu")(_normalised(x))
            x = x + keras.layers.Dropout(recipe.dropout)(_dense(inner, recipe.width)(y))
    x = MeanOfTokens()([_normalised(x), seen])
    return keras.Model(words, _dense(recipe.width, classes)(keras.layers.Dropout(recipe.dropout)(x)))


def compiled(recipe: Recipe, tokens: int, classes: int) -> keras.Model:
    """The same, ready for `fit` with targets (batch, classes)."""
    model = classifier(recipe, tokens, classes)
    model.compile(
        _optimizer(recipe, model),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.smoothing),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _normalised(x: Any) -> Any:
    """With PyTorch's epsilon: Keras's is a hundred times as large, and embeddings begin small."""
    return keras.layers.LayerNormalization(epsilon=1e-5)(x)


def _dense(inputs: int, outputs: int, activation: str | None = None) -> keras.layers.Dense:
    """With the weights and biases that PyTorch's begins with: uniform up to the square root of one over the inputs."""
    most = inputs**-0.5
    first = [keras.initializers.RandomUniform(-most, most) for _ in range(2)]
    return keras.layers.Dense(outputs, activation, kernel_initializer=first[0], bias_initializer=first[1])


def _optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """As `learner` has it: the same rates and epsilon, all gradients clipped together, decay of matrices only."""
    rate = OneCycle(recipe.learning_rate, recipe.warming * (recipe.steps + 1) - 1, recipe.steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, epsilon=EPSILON, global_clipnorm=CLIP)
    optimizer.exclude_from_weight_decay([one for one in model.trainable_variables if len(one.shape) <= 1])
    return optimizer


def _normal(width: int) -> keras.initializers.Initializer:
    """As in `networks.Embedding`; what Keras draws unless told otherwise is three times as small."""
    return keras.initializers.RandomNormal(stddev=width**-0.5)


class KerasSession:
    """Trains it; its state and the model lie in `folder`, the vocabulary in the folder above."""

    def __init__(
        self, recipe: Mapping[str, Any], attention: str, origin: Origin | None, folder: str, threads: int, shaken: bool
    ):
        self._recipe, self._folder = Recipe.from_json(recipe), Path(folder)
        self._material = material.of_texts(self._recipe, sources.of_recipe(self._recipe), self._folder.parent)
        self._batches = Shuffled(self._material.samples[TRAIN], self._recipe.batch, self._recipe.seed)
        self._step, self._seconds = 0, 0.0
        self._model = compiled(self._recipe, self._material.tokens, len(self._material.labels))
        self._best_loss, self._worse, self._best = math.inf, 0, self._model.get_weights()
        if (self._folder / STATE).is_file():
            self._load()

    @property
    def _variables(self) -> list[Any]:
        """All that a step changes: weights, what dropout draws from, and what the optimizer remembers."""
        return [*self._model.variables, *self._model.optimizer.variables]

    def _load(self) -> None:
        """Go on from what `save` has written."""
        path = self._folder / STATE
        try:
            with np.load(path) as state:
                step, self._seconds, self._best_loss, worse = state["counts"].tolist()
                for n, variable in enumerate(self._variables):
                    variable.assign(state[f"variable-{n}"])
                self._best = [state[f"best-{n}"] for n in range(len(self._best))]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read: {type(error).__name__}; delete it to begin again") from None
        self._step, self._worse = int(step), int(worse)

    @property
    def ready(self) -> Opened:
        """Sizes, and how far an earlier session came."""
        samples = {part: len(some) for part, some in self._material.samples.items()}
        return Opened(self._model.count_params(), samples, self._step, self._seconds)

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        """What answers each kind of request."""
        return {Train: self.train, Save: self.save, Finish: self.finish}

    def train(self, request: Train) -> Trained:
        """The steps until the next look at the validation part, by `fit`."""
        recipe, first, start = self._recipe, self._step, time.perf_counter()
        steps = next(n for n in range(1, recipe.steps - first + 1) if recipe.validates_after(first + n))
        recorded = _Recorded()
        self._model.fit(self._some(first, steps), steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[recorded])
        self._step += steps
        self._seconds += time.perf_counter() - start
        points = [
            Point(first + n, "train", loss, accuracy, self._seconds * (first + n) / self._step)
            for n, (loss, accuracy) in enumerate(recorded.steps, 1)
        ]
        loss, accuracy = self._evaluated(VALIDATION)
        points.append(Point(self._step, "validation", loss, accuracy, self._seconds))
        self._worse += 1
        if loss < self._best_loss:
            self._best_loss, self._worse, self._best = loss, 0, self._model.get_weights()
        return Trained(tuple(points), self._step >= recipe.steps or self._worse >= recipe.patience)

    def _some(self, first: int, steps: int) -> tf.data.Dataset:
        """The batches of some steps, of any length: a generator alone would bind Keras to the lengths of the first two."""
        classes = len(self._material.labels)

        def batches() -> Any:
            for step in range(first, first + steps):
                batch = self._batches[step]
                yield batch.inputs[0].astype(np.int32), keras.utils.to_categorical(batch.targets, classes)

        signature = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, classes), tf.float32))
        return tf.data.Dataset.from_generator(batches, output_signature=signature)

    def _evaluated(self, part: str) -> tuple[float, float]:
        """Loss in nats and accuracy, without smoothing."""
        logits, targets = self._logits(self._model, self._material.samples[part])
        shifted = logits - logits.max(-1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        loss = -logs[np.arange(len(targets)), targets].mean()
        return float(loss), float((logits.argmax(-1) == targets).mean())

    def _logits(self, model: keras.Model, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        ordered = sorted(samples, key=lambda sample: sample.length)
        size, found, targets = self._recipe.batch, [], []
        for start in range(0, len(ordered), size):
            batch = collated(ordered[start : start + size])
            found.append(np.asarray(model.predict_on_batch(batch.inputs[0].astype(np.int32))))
            targets.append(batch.targets)
        return np.concatenate(found), np.concatenate(targets)

    def save(self, _: Save) -> bool:
        """The state, to go on from. Raises `UserError` when it cannot be written."""
        counts = np.array([self._step, self._seconds, self._best_loss, self._worse])
        state: dict[str, Any] = {f"variable-{n}": np.asarray(one) for n, one in enumerate(self._variables)}
        state |= {f"best-{n}": one for n, one in enumerate(self._best)}
        beside = self._folder / f".{STATE}"
        try:
            with beside.open("wb") as file:
                np.savez(file, counts=counts, **state)
            beside.replace(self._folder / STATE)
        except OSError as error:
            raise UserError(f"cannot write {self._folder / STATE}: {error.strerror}") from None
        return True

    def finish(self, _: Finish) -> Finished:
        """Save the model that did best on the validation part, load it again, and have that one answer for the test part."""
        self._model.set_weights(self._best)
        self._model.save(self._folder / MODEL)
        self._model = keras.saving.load_model(self._folder / MODEL, compile=False)
        loss, accuracy = self._evaluated(TEST)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return Finished({"accuracy": accuracy, "loss": loss}, {}, peak)


class _Recorded(keras.callbacks.Callback):
    """Loss and accuracy of each step: Keras gives means since the epoch began."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[float, float]] = []
        self._before = np.zeros(2)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = np.array([logs["loss"], logs["accuracy"]], float) * (batch + 1)
        self.steps.append(tuple((total - self._before).tolist()))
        self._before = total


class KerasModelSession:
    """A model as `KerasSession` left it in a folder, asked about texts."""

    def __init__(self, folder: str, attention: str, origin: Origin | None):
        self._model = keras.saving.load_model(Path(folder) / MODEL, compile=False)
        shared = Path(folder).parent
        self._labels: list[str] = json.loads((shared / material.LABELS_FILE).read_text(encoding="utf-8"))
        self._vocabulary = Vocabulary.load(shared)
        self._longest = TaskFolder.open(shared).trainings[0].recipe.longest

    @property
    def ready(self) -> None:
        """Nothing is said."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        """What answers each kind of request."""
        return {Predict: self.predict}

    def predict(self, request: Predict) -> Predicted:
        """The likeliest labels with their probabilities. Raises `UserError` for an empty text."""
        if not request.text.strip():
            raise UserError("the text is empty")
        numbers = self._vocabulary.numbers(request.text, self._longest)
        batch = collated([Sample((numbers,), 0)]).inputs[0].astype(np.int32)
        shares = np.asarray(keras.ops.softmax(self._model.predict_on_batch(batch)))[0]
        best = np.argsort(-shares)[:MOST_SHOWN]
        return Predicted(tuple(f"{shares[index]:6.1%}  {self._labels[index]}" for index in best))
