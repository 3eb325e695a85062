"""The oracle: attention in float64, in blocks of bounded memory, with the derived error bound of every element.

`expected(problem, inputs)` is what an output is compared with; `docs/tolerance.md` derives the bound.
"""

from harness.operators.answer import Expected, Tensor, load, save
from harness.operators.attention.reference.expected import expected

__all__ = ["Expected", "Tensor", "expected", "load", "save"]
