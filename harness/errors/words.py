"""The nearest known word for a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

MAX_GUESSES = 3

ALIASES = {
    "fp64": "float64", "f64": "float64", "double": "float64",
    "fp32": "float32", "f32": "float32", "single": "float32", "float": "float32",
    "fp16": "float16", "f16": "float16", "half": "float16",
    "bf16": "bfloat16",
    "upper-left": "top-left", "lower-right": "bottom-right",
    "bhld": "BHSD", "bhtd": "BHSD", "blhd": "BSHD", "bthd": "BSHD",
    "gpu": "cuda", "host": "cpu",
    "np": "numpy", "pytorch": "torch", "tf": "tensorflow", "ort": "onnxruntime", "onnx": "onnxruntime", "ov": "openvino",
}  # fmt: skip
"""Words that other libraries use, and what they are called here."""


def nearest(word: str, known: Collection[str]) -> list[str]:
    """The known words that `word` may stand for, the likeliest first: by another name, or by its letters."""
    plain = word.lower().replace("_", "-")
    if ALIASES.get(plain) in known:
        return [ALIASES[plain]]
    by_plain = {one.lower().replace("_", "-"): one for one in known}
    if plain in by_plain:
        return [by_plain[plain]]
    return [by_plain[match] for match in difflib.get_close_matches(plain, by_plain, n=MAX_GUESSES, cutoff=0.5)]


def guess(word: str, known: Collection[str]) -> str:
    """ " Did you mean …?", or "" when no known word is like it."""
    near = nearest(word, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""


FEW = 2
"""Known names up to which a sentence has them all."""


def unknown_name(what: str, name: str, known: Sequence[str], where: str) -> str:
    """The sentence for a name that is not known: what was given, the nearest ones, where to see all; a few are named."""
    all_of_them = " and ".join(known) if len(known) <= FEW else len(known)
    return f'no {what} is called "{name}".{guess(name, known)} {where} {all_of_them}.'
