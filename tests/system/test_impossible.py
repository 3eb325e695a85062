"""A time that the machine's limits exclude is no record."""

import pytest

from harness.errors import Status
from harness.measure.manager import Manager
from harness.measure.plan import Effort
from harness.plugins.contender import contenders
from harness.plugins.registry import discover
from harness.problem import Problem
from harness.records.limits import Arithmetic, Limits
from tests.unit.factories import plan

PROBLEM = Problem(q_heads=1, q_len=16, head_dim=8)
EFFORT = Effort(processes=1, rounds=2, min_rounds=2, turn_s=0.004, sample_s=0.001, warmup_s=0.004, cell_s=0.02)


@pytest.mark.parametrize("flops_per_s, status", [(1.0, Status.IMPOSSIBLE), (1e18, Status.OK)])
def test_what_is_faster_than_the_limits_allow_has_no_time(flops_per_s, status):
    registry = discover().of("attention")
    chosen = tuple(contenders(registry, ["numpy"], "cpu"))
    planned = plan(problems=(PROBLEM,), contenders=chosen, effort=EFFORT, threads=1)
    manager = Manager(planned, registry.implementations)
    manager.limits = Limits(threads=1, arithmetic=(Arithmetic(dtype="float32", product_flops_per_s={1: flops_per_s}),))
    try:
        (cell,) = manager.cells([])
    finally:
        manager.close()
    assert cell.status is status
    if status is Status.IMPOSSIBLE:
        assert cell.timing is None and "take at least" in cell.reason
