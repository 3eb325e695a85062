"""Every feature with every other, and as many as go together at once."""

import itertools
from collections.abc import Iterator
from typing import Any

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import FEATURES, small


def cases() -> Iterator[Case]:
    for first, second in itertools.combinations(FEATURES, 2):
        if not FEATURES[first].keys() & FEATURES[second].keys():
            yield Case("composition", f"{first}+{second}", small(**FEATURES[first], **FEATURES[second]))
    everything: dict[str, Any] = {}
    for name in (
        "biases",
        "bottom-right",
        "head-mask",
        "grouped",
        "softcap",
        "scale",
        "y-width",
        "out-width",
        "head-dim",
        "v-width",
    ):
        everything |= FEATURES[name]
    yield Case("composition", "everything", small(**everything), core=True)
    yield Case("composition", "everything-bfloat16", small(**everything, dtype="bfloat16"))
    yield Case("composition", "everything-gradients", small(**everything, direction="backward"))
