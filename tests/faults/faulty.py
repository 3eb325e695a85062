"""`@fault` makes a wrong attention an implementation of the contract and keeps it among `DECLARED`."""

import re
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from harness.registry import Differentiable, Implementation, implementation
from tests.faults.attention import Attention

DECLARED = {}
"""Every `Fault` by its id."""


@dataclass(frozen=True)
class Fault:
    """One wrong implementation."""

    attention: type[Attention]

    @property
    def id(self) -> str:
        """The class's name in lower case, with hyphens."""
        return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9A-Z])(?=[A-Z][a-z])", "-", self.attention.__name__).lower()

    @property
    def sentence(self) -> str:
        """What is wrong with it."""
        return " ".join(self.attention.__doc__.split())

    @property
    def subject(self) -> ModuleType:
        """The module that declares it."""
        return sys.modules[self.attention.__module__]

    @property
    def implementation(self) -> Implementation:
        return as_implementation(self.id, self.attention)


def fault(attention: type[Attention]) -> type[Attention]:
    """Declare a wrong attention; its docstring says what is wrong."""
    entry = Fault(attention)
    if entry.id in DECLARED:
        raise ValueError(f"two faults are called {entry.id}")
    DECLARED[entry.id] = entry
    return attention


def as_implementation(name: str, attention: type[Attention]) -> Implementation:
    """An attention, right or wrong, as the harness takes it. What wrong ones divide by zero is no news."""

    def quiet(function):
        def called(*args, **kwargs):
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)

        return called

    @implementation(name, framework="numpy", supports=attention.supports)
    def build(problem):
        made = attention(problem)
        if problem.direction == "backward":
            return Differentiable(quiet(made.forward), quiet(made.backward))
        return quiet(lambda *arrays, **extras: made.forward(*arrays, **extras)[0])

    return build
