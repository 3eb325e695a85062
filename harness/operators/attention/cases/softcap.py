"""c·tanh(s/c) on the scaled scores, before bias and mask."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    for cap in (0.5, 5.0, 50.0):
        yield Case("softcap", f"{cap:g}", small(softcap=cap), core=cap == 0.5)
    problem = small(softcap=0.5, mask="random-b1qk", bias="normal-1hqk", causal="top-left")
    yield Case("softcap", "before-mask-and-bias", problem, core=True)
    yield Case("softcap", "large-logits", small(softcap=30.0), inputs="large-logits")
    # From a hundredth of the scores, where tanh is 1 and exponentials in it overflow, to ten thousand times them, where
    # tanh(x) is x and a quotient of exponentials cancels.
    for inputs, size in (("normal", 1.0), ("large-logits", 100.0), ("tiny-logits", 1e-3)):
        for ratio in (0.01, 0.1, 100.0, 1e4):
            problem = small(softcap=ratio * size)
            name = f"{inputs}-times-{ratio:g}"
            yield Case("softcap", name, problem, inputs=inputs, core=(inputs, ratio) == ("large-logits", 0.01))
            yield Case("softcap", f"{name}-gradients", problem.replace(direction="backward"), inputs=inputs)
