"""What must hold whatever the oracle says: symmetries of the formula, and what an output must not depend on.

The same properties are drawn over random problems by the pytest suite.
"""

from collections.abc import Iterator

from harness.operators.attention.cases.problems import small
from harness.operators.case import Case


def cases() -> Iterator[Case]:
    plain = small(batch=2, q_len=11)
    masked = plain.replace(mask="random-b1qk", bias="normal-1hqk")
    causal = small(batch=2, causal="bottom-right")
    grouped = small(batch=2, q_heads=4, kv_heads=2, q_len=9, causal="top-left")
    for check, problems in {
        "permuted-keys": {"plain": plain, "masked": masked},
        "affine-values": {"plain": plain, "causal": causal},
        "shifted-keys": {"plain": plain, "masked": masked},
        "convex-hull": {"plain": plain, "masked": masked, "causal": causal},
        "independent-batches": {"plain": plain, "grouped": grouped},
        "independent-heads": {"plain": plain, "grouped": grouped},
        "unseen-keys": {"causal": causal, "masked": masked, "grouped": grouped},
    }.items():
        for name, problem in problems.items():
            yield Case("properties", f"{check}-{name}", problem, check=check, core=name == "plain" or check == "unseen-keys")
    for name, problem in {"plain": plain, "masked": masked, "grouped": grouped}.items():
        gradients = problem.replace(direction="backward")
        yield Case("properties", f"value-gradient-sums-{name}", gradients, check="value-gradient-sums", core=name == "plain")
