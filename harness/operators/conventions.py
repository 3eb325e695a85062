"""What was found by probing an implementation, whatever the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

REFUSED, NOT_DECLARED, UNKNOWN = "refused", "–", "unknown"

TOLERANCE = {"float64": 1e-5, "float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
"""Conventions differ by about one in the problems that are probed with; arithmetic by far less."""


class NotDeclared(Exception):
    """The implementation says that it does not do this."""


@dataclass(frozen=True)
class Conventions:
    """The findings, in words, by question."""

    found: Mapping[str, str]
    disagreements: tuple[str, ...] = field(default=())
    """Sentences on what is not as the contract or the declaration has it."""


def which(compute: Callable[[], np.ndarray], candidates: Mapping[str, np.ndarray], dtype: str) -> str:
    """The name of the candidate that is computed; a refusal is an answer too."""
    try:
        out = compute().astype(np.float64)
    except NotDeclared:
        return NOT_DECLARED
    except Exception:  # A library refuses in its own way.
        return REFUSED
    near = TOLERANCE[dtype]
    for name, candidate in candidates.items():
        if out.shape == candidate.shape and np.allclose(out, candidate, rtol=0, atol=near, equal_nan=True):
            return name
    return UNKNOWN
