"""The oracle: attention in float64, in blocks of bounded memory, with the derived error bound of every element.

`expected(problem, inputs)` is what an output is compared with; `docs/tolerance.md` derives the bound. Nothing here uses
`harness.masks`, which implementations share: an oracle with the code of what it judges would have its mistakes too.
"""

from harness.operators.answer import Expected, Tensor, load, save
from harness.operators.attention.reference.expected import expected

__all__ = ["Expected", "Tensor", "expected", "load", "save"]
