"""The features of a problem, to be switched on one by one, in pairs and all at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

FEATURES: dict[str, dict[str, Any]] = {
    "causal": {"causal": "bottom-right"},
    "top-left": {"causal": "top-left"},
    "window": {"window": (6, 3)},
    "mask": {"mask": "random-bhqk"},
    "padding": {"mask": "padding"},
    "bias": {"bias": "normal-1hqk"},
    "blocking": {"bias": "blocking-b1qk"},
    "grouped": {"q_heads": 4, "kv_heads": 2},
    "softcap": {"softcap": 1.5},
    "scale": {"scale": -0.5},
    "v-width": {"v_head_dim": 24},
}
"""Fields by name. Two features that set the same field exclude each other."""


def together(*names: str) -> dict[str, Any]:
    """The fields of several features."""
    return {field: value for name in names for field, value in FEATURES[name].items()}


def pairs() -> Iterator[tuple[str, str]]:
    """Every two features that go together."""
    for first, second in itertools.combinations(FEATURES, 2):
        if not FEATURES[first].keys() & FEATURES[second].keys():
            yield first, second


MOST = ("causal", "window", "mask", "bias", "grouped", "scale")
"""What few libraries leave out, to meet at once."""

ALL = (*MOST, "softcap", "v-width")
