"""Features together: every pair, and all of them at once."""

from collections.abc import Iterator

from harness.operators.attention.cases.features import ALL, MOST, pairs, together
from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for first, second in pairs():
        core = (first, second) == ("top-left", "v-width")  # A pair that no other core case of the suite has.
        yield Case("composition", f"{first}+{second}", small(**together(first, second)), core=core)
    blocking = together(*(name for name in ALL if name != "bias"), "blocking")
    yield Case("composition", "all", small(**{**blocking, "q_len": 9}), core=True)
    yield Case("composition", "all-long", small(**{**together(*ALL), "q_len": 150, "kv_len": 260}))
    yield Case("composition", "all-batched", small(**{**blocking, "batch": 3}))
    # What few libraries have left out, so that these still meet the other features together.
    few = "all-but-softcap-and-v-width"
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        suffix = "" if dtype == "float32" else f"-{dtype}"
        yield Case("composition", f"{few}{suffix}", small(**together(*MOST), dtype=dtype), core=True)
    yield Case("composition", f"{few}-top-left", small(**{**together(*MOST), "causal": "top-left"}), core=True)
