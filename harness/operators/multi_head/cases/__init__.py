"""The chapters of the layer's suite, a module of cases each, in the order in which they are read and run."""

from harness.operators.multi_head.cases import (
    biases,
    cached,
    calls,
    composition,
    crossed,
    gradients,
    heads,
    masks,
    properties,
    shapes,
    values,
    widths,
)

CHAPTERS = (values, shapes, widths, biases, crossed, masks, heads, cached, composition, calls, gradients, properties)
