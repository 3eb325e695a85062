"""Implementations: how one declares itself, and where they are found.

An implementation is a function that takes a `Problem` and returns the callable that solves it:

    @implementation("mine", framework="numpy", supports=Supports(dtypes=("float32",)))
    def mine(problem):
        def attention(q, k, v):
            ...
        return attention

`attention` receives native arrays of the framework in the declared layout, and the keywords `mask=` and `bias=` when the
problem has them (only then: what is not supported need not be accepted). Building it may compile and allocate; that is
timed apart from calling it. Nothing here imports a framework, and importing a plug-in should not either: frameworks are
imported inside the function, which runs in a worker process.
"""

from harness.frameworks.base import Kernel
from harness.frameworks.differentiable import Differentiable
from harness.operators.attention.supports import EVERYTHING, Supports
from harness.plugins.implementation import Implementation, implementation

__all__ = ["EVERYTHING", "Differentiable", "Implementation", "Kernel", "Supports", "implementation"]
