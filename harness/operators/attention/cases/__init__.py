"""The chapters of the suite, a module of cases each, in the order in which they are read and run."""

from harness.operators.attention.cases import (
    arrays,
    bias,
    blocked,
    calls,
    causal,
    composition,
    decode,
    empty_rows,
    gradients,
    grouped_heads,
    logits,
    lowest,
    mask,
    padding,
    properties,
    scale,
    shapes,
    sizes,
    softcap,
    values,
    wide_heads,
    window,
)

CHAPTERS = (
    values, shapes, sizes, mask, bias, lowest, causal, window, padding, empty_rows, blocked, grouped_heads, softcap, scale,
    composition, decode, wide_heads, logits, arrays, calls, gradients, properties,
)  # fmt: skip
