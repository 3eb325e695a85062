"""Which weights of a layer are W^Q, W^K, W^V and W^O, by their names or their order, and in which form they are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import UserError

LETTERS = "qkvo"

_WORDS: Mapping[str, tuple[str, ...]] = {
    "q": ("q", "wq", "bq", "qs", "query", "queries"),
    "k": ("k", "wk", "bk", "ks", "key", "keys"),
    "v": ("v", "wv", "bv", "vs", "value", "values"),
    "o": ("o", "wo", "bo", "out", "output"),
    "qkv": ("qkv", "wqkv", "in", "attn"),
    "kv": ("kv", "wkv"),
}
"""Words in the name of a weight, most telling first; the last two hold several side by side, in this order."""

_LAST_RESORT = ("dense", "proj", "projection", "fc", "final", "combine", "linear")
"""Words of W^O where no other weight is called so and all others have their place."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_KIND = re.compile(r"[._]?(weight|kernel|bias)$")


@dataclass(frozen=True)
class Parameter:
    """One weight or bias of a layer."""

    name: str
    """As the layer has it, such as "q_proj.weight"."""
    shape: tuple[int, ...] | None
    """None where it has none: its sublayer was made and never called."""
    variable: Any = None
    transposed: bool = False
    """Whether a square one is stored (out, in), as in nn.Linear."""

    @property
    def owner(self) -> str:
        """What it has in common with its bias: "q_proj"."""
        return _KIND.sub("", self.name)

    @property
    def is_bias(self) -> bool:
        last = self.name.rpartition(".")[2].lower()
        words = {word.lower() for word in _WORD.findall(last)}
        return (
            "bias" in words
            or bool(words & {"b", "bq", "bk", "bv", "bo"})
            or (self.shape is not None and len(self.shape) == 1)
        )

    @property
    def words(self) -> list[str]:
        """Of its last name: that of a list's element is the list's."""
        parts = [part for part in self.owner.split(".") if not part.isdigit()]
        return [word.lower() for word in _WORD.findall(parts[-1] if parts else self.name)]


@dataclass(frozen=True)
class Slot:
    """A weight and its bias, and the letters of the projections that they hold side by side."""

    letters: str
    weight: Parameter
    bias: Parameter | None = None

    def weights(self, given: Mapping[str, np.ndarray]) -> np.ndarray:
        """The weight's values, in its own form. Raises `UserError` where they do not fit."""
        arrays = [given[f"w{letter}"] for letter in self.letters]
        assert self.weight.shape is not None
        if len(arrays) == 1 and len(self.weight.shape) == 3:
            for form in (arrays[0], arrays[0].transpose(1, 0, 2)):
                if form.shape == self.weight.shape:
                    return form
            raise self._does_not_fit(arrays[0].shape)
        whole = np.concatenate([as_matrix(letter, a) for letter, a in zip(self.letters, arrays, strict=True)], axis=1)
        if sorted(whole.shape) != sorted(self.weight.shape):
            raise self._does_not_fit(whole.shape)
        return whole.T if self._is_transposed(whole.shape) else whole

    def biases(self, given: Mapping[str, np.ndarray]) -> np.ndarray:
        """The bias's values: zeros where the problem has none."""
        assert self.bias is not None and self.bias.shape is not None
        if f"b{self.letters[0]}" not in given:
            return np.zeros(self.bias.shape, np.float32)
        whole = np.concatenate([given[f"b{letter}"].reshape(-1) for letter in self.letters])
        if whole.size != np.prod(self.bias.shape):
            raise UserError(
                f"{self.bias.name} has the shape {self.bias.shape}, and holds {whole.size} numbers in the problem"
            )
        return whole.reshape(self.bias.shape)

    def gradients(self, found: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """A gradient of the weight as those of W^Q and so on, by name; `shapes` are theirs."""
        assert self.weight.shape is not None
        first = shapes[f"w{self.letters[0]}"]
        if len(self.letters) == 1 and len(self.weight.shape) == 3:
            return {f"w{self.letters}": found if found.shape == first else found.transpose(1, 0, 2)}
        rows = int(np.prod(first[:2])) if self.letters == "o" else first[0]
        whole = (rows, found.size // rows)
        matrix = found.T if self._is_transposed(whole) else found
        columns = [int(np.prod(shapes[f"w{one}"][1:])) if one != "o" else first[2] for one in self.letters]
        parts = np.split(matrix, np.cumsum(columns)[:-1], axis=1)
        return {f"w{one}": part.reshape(shapes[f"w{one}"]) for one, part in zip(self.letters, parts, strict=True)}

    def bias_gradients(self, found: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """The same of the bias."""
        sizes = [int(np.prod(shapes[f"b{one}"])) for one in self.letters]
        parts = np.split(found.reshape(-1), np.cumsum(sizes)[:-1])
        return {f"b{one}": part.reshape(shapes[f"b{one}"]) for one, part in zip(self.letters, parts, strict=True)}

    def _is_transposed(self, whole: tuple[int, ...]) -> bool:
        """Whether the weight is stored (out, in). Where it is square, only its class tells."""
        return self.weight.transposed if whole[0] == whole[1] else self.weight.shape != whole

    def _does_not_fit(self, shape: tuple[int, ...]) -> UserError:
        what = " beside ".join(f"W^{letter.upper()}" for letter in self.letters)
        return UserError(f"{self.weight.name} is taken for {what} and has the shape {self.weight.shape}, not {shape}")


def as_matrix(letter: str, weight: np.ndarray) -> np.ndarray:
    """(in, out): heads side by side, of W^O one below the other."""
    return weight.reshape(-1, weight.shape[-1]) if letter == "o" else weight.reshape(len(weight), -1)


def slots(parameters: Sequence[Parameter], where: str) -> list[Slot]:
    """W^Q, W^K, W^V and W^O among a layer's parameters. Raises `UserError` where names and order do not tell."""
    weights = [one for one in parameters if not one.is_bias]
    found = _by_words(weights)
    letters = "".join(found)
    if sorted(letters) != sorted(LETTERS):
        if found or len(weights) != len(LETTERS):
            raise UserError(_unclear(weights, letters, where))
        found = dict(zip(LETTERS, weights, strict=True))  # In the order in which they were made.
    return [Slot(letter, weight, _bias_of(letter, weight, parameters)) for letter, weight in found.items()]


def _by_words(weights: Sequence[Parameter]) -> dict[str, Parameter]:
    """By letters, as far as names tell; one that is left is what is missing where its name may be that of W^O."""
    found: dict[str, Parameter] = {}
    for letters, words in _WORDS.items():
        named = [one for one in weights if one not in found.values() and set(one.words) & set(words)]
        if len(named) == 1 and not set(letters) & set("".join(found)):
            found[letters] = named[0]
    left = [one for one in weights if one not in found.values() and set(one.words) & set(_LAST_RESORT)]
    if sorted("".join(found)) == sorted("qkv") and len(left) == 1:
        found["o"] = left[0]
    return found


def _bias_of(letters: str, weight: Parameter, parameters: Sequence[Parameter]) -> Parameter | None:
    biases = [one for one in parameters if one.is_bias]
    beside = [one for one in biases if one.owner == weight.owner]
    named = [one for one in biases if set(one.words) & set(_WORDS[letters]) and "." not in one.name]
    return next(iter(beside or named), None)


def _unclear(weights: Sequence[Parameter], letters: str, where: str) -> str:
    what = ", ".join(f"{one.name} {one.shape or '(never used)'}" for one in weights) or "none"
    missing = ", ".join(f"W^{letter.upper()}" for letter in LETTERS if letter not in letters)
    return (
        f"{where} does not say which of its weights are {missing}; it has {what}. Call them by q, k, v and out, such as "
        f"q_proj, k_proj, v_proj and out_proj (or qkv for three side by side), or write a plug-in: docs/own-layer.md"
    )
