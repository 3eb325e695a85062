"""`@fault` makes a wrong attention, or a wrong layer, an implementation of the contract and keeps it among `DECLARED`."""

import re
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from harness.registry import Differentiable, Implementation, implementation

DECLARED = {}
"""Every `Fault` by its id."""


@dataclass(frozen=True)
class Fault:
    """One wrong implementation."""

    subject_class: type
    """Derived from `Attention` or from `Layer`."""

    @property
    def id(self) -> str:
        """The class's name in lower case, with hyphens."""
        return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9A-Z])(?=[A-Z][a-z])", "-", self.subject_class.__name__).lower()

    @property
    def sentence(self) -> str:
        """What is wrong with it."""
        return " ".join(self.subject_class.__doc__.split())

    @property
    def subject(self) -> ModuleType:
        """The module that declares it."""
        return sys.modules[self.subject_class.__module__]

    @property
    def implementation(self) -> Implementation:
        return as_implementation(self.id, self.subject_class)


def fault(subject: type) -> type:
    """Declare a wrong attention or layer; its docstring says what is wrong."""
    entry = Fault(subject)
    if entry.id in DECLARED:
        raise ValueError(f"two faults are called {entry.id}")
    DECLARED[entry.id] = entry
    return subject


def as_implementation(name: str, subject: type) -> Implementation:
    """An attention or a layer, right or wrong, as the harness takes it. What wrong ones divide by zero is no news."""

    def quiet(function):
        def called(*args, **kwargs):
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)

        return called

    def callable_of(problem, made):
        if problem.direction == "backward":
            return Differentiable(quiet(made.forward), quiet(made.backward))
        return quiet(lambda *arrays, **extras: made.forward(*arrays, **extras)[0])

    @implementation(name, operator=subject.operator, framework="numpy", supports=subject.supports)
    def build(problem):
        if not subject.operator.parameters:
            return callable_of(problem, subject(problem))

        def load(**weights):
            made = subject(problem)
            made.load(weights)
            return callable_of(problem, made)

        return load

    return build
