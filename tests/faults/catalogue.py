"""Every fault, in the order of the table."""

from tests.faults import (
    arrays,
    bias,
    calls,
    causality,
    edges,
    empty_rows,
    gradient_sums,
    gradients,
    heads,
    masks,
    precision,
    published_layer,
    published_scores,
    recomputed,
    scale,
    softcap,
    softmax,
    strides,
    threads,
    tiles,
    windows,
)
from tests.faults.faulty import DECLARED

SUBJECTS = (
    published_layer, published_scores, heads, scale, softcap, bias, causality, windows, masks, softmax, empty_rows,
    edges, tiles, precision, strides, arrays, calls, threads, gradients, gradient_sums, recomputed,
)  # fmt: skip

FAULTS = {fault.id: fault for subject in SUBJECTS for fault in DECLARED.values() if fault.subject is subject}
"""Every `Fault` by its id."""
