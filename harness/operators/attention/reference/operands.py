"""What attention is given, with how far each array may be off when it is the result of computations itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.operators.reference.approximate import Approximate


@dataclass(frozen=True)
class Operands:
    """q, k, v and do as the problem's shapes have them; mask and bias are exact, and None where the problem has none."""

    q: Approximate
    k: Approximate
    v: Approximate
    mask: np.ndarray | None = None
    bias: np.ndarray | None = None
    do: Approximate | None = None

    @classmethod
    def exact(cls, inputs: Inputs) -> Operands:
        """Arrays that are given."""
        do = None if inputs.do is None else Approximate(inputs.do)
        q, k, v = (Approximate(x) for x in (inputs.q, inputs.k, inputs.v))
        return cls(q, k, v, inputs.mask, inputs.bias, do)
