"""The chapters of the suite, a module of cases each, in the order in which they are read and run."""

from harness.conformance.chapters import (
    arrays,
    bias,
    calls,
    causal,
    composition,
    empty_rows,
    gradients,
    grouped_heads,
    logits,
    mask,
    padding,
    properties,
    scale,
    shapes,
    softcap,
    values,
    window,
)

CHAPTERS = (
    values, shapes, mask, bias, causal, window, padding, empty_rows, grouped_heads, softcap, scale, composition,
    logits, arrays, calls, gradients, properties,
)  # fmt: skip
