"""Every fault, in the order of the table."""

from tests.faults import (
    arrays,
    article,
    bias,
    blocked,
    calls,
    causality,
    decoding,
    edges,
    empty_rows,
    gradient_sums,
    gradients,
    heads,
    layers,
    lowest,
    masks,
    memory,
    precision,
    published_layer,
    published_scores,
    recomputed,
    scale,
    sizes,
    softcap,
    softmax,
    strides,
    threads,
    tiles,
    wide_heads,
    windows,
)
from tests.faults.faulty import DECLARED

SUBJECTS = (
    published_layer, published_scores, heads, scale, softcap, bias, lowest, causality, windows, masks, softmax, empty_rows,
    blocked, decoding, edges, sizes, wide_heads, tiles, precision, strides, arrays, memory, calls, threads, gradients,
    gradient_sums, recomputed, article, layers,
)  # fmt: skip

FAULTS = {fault.id: fault for subject in SUBJECTS for fault in DECLARED.values() if fault.subject is subject}
"""Every `Fault` by its id."""
