"""More than one call: equal results, no state between shapes, two threads at once. That inputs stay as they were is
checked in every case of every chapter."""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import small


def cases() -> Iterator[Case]:
    plain, masked = small(), small(mask="random-b1qk", biases=True)
    tiny = small(batch=1, q_heads=2, q_len=6, width=8, biases=True)
    for check in ("repeat", "alternate", "new-values", "concurrent", "concurrent-shared"):
        yield Case("calls", check, plain, check=check, core=True)
        yield Case("calls", f"{check}-masked", masked, check=check)
        yield Case("calls", f"{check}-gradients", plain.replace(direction="backward"), check=check)
    for check in ("many", "same-buffers", "small-changes", "apart"):
        yield Case("calls", check, tiny, check=check, core=True)
        if check != "same-buffers":  # Gradients may use what their forward pass saved.
            yield Case("calls", f"{check}-gradients", tiny.replace(direction="backward"), check=check)
    yield Case("calls", "repeat-long", small(batch=1, q_len=140, causal="top-left"), check="repeat")
