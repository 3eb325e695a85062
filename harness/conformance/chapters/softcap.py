"""c·tanh(s/c) on the scaled scores, before bias and mask."""

from collections.abc import Iterator

from harness.conformance.case import Case, small


def cases() -> Iterator[Case]:
    for cap in (0.5, 5.0, 50.0):
        yield Case("softcap", f"{cap:g}", small(softcap=cap), core=cap == 0.5)
    problem = small(softcap=0.5, mask="random-b1qk", bias="normal-1hqk", causal="top-left")
    yield Case("softcap", "before-mask-and-bias", problem, core=True)
    yield Case("softcap", "large-logits", small(softcap=30.0), inputs="large-logits")
