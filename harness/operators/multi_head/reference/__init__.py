"""The oracle of the layer: its three stages in float64, with the derived error bound of every element.

q, k and v are projections with errors of their own; attention's oracle carries them through to o, and the last projection
takes o with its errors. docs/tolerance.md derives the bound.
"""

from harness.operators.multi_head.reference.expected import expected

__all__ = ["expected"]
