"""The Keras layer is saved, and loaded by a process that never saw it made."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from harness.layers.keras import MultiHeadAttention

ARGUMENTS = {
    "num_heads": 4,
    "key_dim": 3,
    "value_dim": 5,
    "num_kv_heads": 2,
    "output_width": 7,
    "use_bias": False,
    "causal": "bottom-right",
    "scale": 0.3,
    "softcap": 2.0,
    "dropout": 0.25,
    "seed": 5,
}
X, Y = (np.random.default_rng(0).standard_normal((2, length, width), np.float32) for length, width in ((6, 12), (9, 8)))

SAVED = {
    "self": ({"num_heads": 3, "causal": True}, [X]),
    "self-all-arguments": (ARGUMENTS, [X]),
    "cross-all-arguments": (ARGUMENTS, [X, Y]),
}
"""The arguments of a layer, and the arrays of its model."""

ELSEWHERE = """
import pathlib, sys
import keras, numpy
import harness.layers.keras
for model in sys.argv[1:]:
    inputs = [numpy.load(path) for path in sorted(pathlib.Path(model).parent.glob("input*.npy"))]
    numpy.save(f"{model}.npy", keras.saving.load_model(model).predict(inputs, verbose=0))
"""


def model_of(layer, arrays):
    inputs = [keras.Input(array.shape[1:]) for array in arrays]
    return keras.Model(inputs, layer(*inputs))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """By name: what a model gives here, and in the one process that loads them all."""
    here, paths = {}, {}
    for name, (arguments, arrays) in SAVED.items():
        layer = MultiHeadAttention(**arguments)
        model = model_of(layer, arrays)
        for weight in layer.weights:
            if weight.trainable:
                weight.assign(np.random.default_rng(len(weight.shape)).standard_normal(weight.shape))
        here[name] = model.predict(arrays, verbose=0)
        paths[name] = tmp_path_factory.mktemp(name) / "model.keras"
        model.save(paths[name])
        for n, array in enumerate(arrays):
            np.save(paths[name].parent / f"input{n}.npy", array)
    subprocess.run([sys.executable, "-c", ELSEWHERE, *map(str, paths.values())], check=True, timeout=300)
    return {name: (here[name], np.load(f"{path}.npy")) for name, path in paths.items()}


@pytest.mark.parametrize("name", SAVED)
def test_loaded_elsewhere_is_equal_to_the_bit(name, outputs):
    here, there = outputs[name]
    assert np.abs(here).max() > 0
    np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("arguments", [{"num_heads": 4}, ARGUMENTS])
def test_config_round_trip(arguments):
    layer = MultiHeadAttention(**arguments, name="attention", dtype="float32")
    again = MultiHeadAttention.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert {name: layer.get_config()[name] for name in arguments} == arguments


def test_config_holds_every_argument():
    assert set(ARGUMENTS) <= set(MultiHeadAttention(4).get_config())


def test_weights_alone(tmp_path):
    first, second = (model_of(MultiHeadAttention(4, seed=n), [X]) for n in range(2))
    second.layers[-1].kernels["query"].assign(np.ones((12, 12)))
    assert (first.predict(X, verbose=0) != second.predict(X, verbose=0)).any()
    first.save_weights(tmp_path / "model.weights.h5")
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(first.predict(X, verbose=0), second.predict(X, verbose=0))
