"""What must hold whatever the oracle says: symmetries of the layer, and what an output must not depend on.

The same properties are drawn over random problems by the pytest suite.
"""

from collections.abc import Iterator

from harness.operators.case import Case
from harness.operators.multi_head.cases.problems import cross, small


def cases() -> Iterator[Case]:
    plain, biased = small(), small(biases=True)
    causal, crossed = small(causal="top-left", biases=True), cross(biases=True)
    grouped = small(q_heads=8, kv_heads=2, width=64, biases=True)
    masked = small(mask="random-b1qk")
    for check, problems in {
        "permuted-heads": {"plain": plain, "biases": biased, "grouped": grouped, "cross": crossed},
        "doubled-output-weights": {"plain": plain, "biases": biased},
        "independent-batches": {"plain": plain, "cross": crossed},
        "independent-queries": {"cross": crossed},
        "unseen-positions": {"causal": causal, "masked": masked},
        "key-bias": {"biases": biased, "cross": crossed},
        "value-bias": {"biases": biased, "cross": crossed, "grouped": grouped},
        "weights-matter": {"plain": plain, "biases": biased, "cross": crossed},
    }.items():
        for name, problem in problems.items():
            core = problem in (plain, causal) or (check == "independent-queries")
            yield Case("properties", f"{check}-{name}", problem, check=check, core=core)
