"""More than one call: equal results, no state between shapes, two threads at once. That inputs stay as they were is
checked in every case of every chapter."""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    long = small(q_len=130, kv_len=300, head_dim=64, causal="top-left")
    yield Case("calls", "repeat", small(q_len=21), check="repeat", core=True)
    yield Case("calls", "repeat-long", long, check="repeat", long=True)
    yield Case("calls", "repeat-masked", small(mask="random-b1qk", bias="normal-1hqk"), check="repeat")
    yield Case("calls", "alternate", small(), check="alternate", core=True)
    yield Case("calls", "alternate-masked", small(mask="random-b1qk", causal="bottom-right"), check="alternate")
    yield Case("calls", "new-values", small(), check="new-values", core=True)
    yield Case("calls", "new-values-masked", small(mask="random-b1qk", bias="normal-1hqk"), check="new-values")
    yield Case("calls", "alternate-gradients", small(direction="backward"), check="alternate")
    yield Case("calls", "concurrent-gradients", small(direction="backward"), check="concurrent")
    yield Case("calls", "concurrent", small(), check="concurrent", core=True)
    yield Case("calls", "concurrent-long", long, check="concurrent", long=True)
    yield Case("calls", "repeat-gradients", small(direction="backward"), check="repeat")
    yield Case("calls", "new-values-gradients", small(direction="backward"), check="new-values")
    tiny = small(q_len=3, kv_len=5)
    masked = small(mask="random-b1qk", bias="normal-1hqk")
    for check in ("many", "same-buffers", "small-changes", "apart"):
        yield Case("calls", check, tiny, check=check, core=True)
        yield Case("calls", f"{check}-one-key", tiny.replace(kv_len=1), check=check)
        yield Case("calls", f"{check}-masked", masked if check != "many" else masked.replace(q_len=3), check=check)
        if check != "same-buffers":  # Gradients may use what their forward pass saved.
            yield Case("calls", f"{check}-gradients", tiny.replace(direction="backward"), check=check)
    yield Case("calls", "concurrent-shared", small(), check="concurrent-shared", core=True)
    yield Case("calls", "concurrent-shared-gradients", small(direction="backward"), check="concurrent-shared")
