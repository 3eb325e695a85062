"""A kernel as the other timers are given it, in a process of its own: an implementation bound to a problem's arrays."""

from harness.frameworks import adapter
from harness.plugins.bound_call import BoundCall
from harness.plugins.registry import discover
from harness.problem import Problem

LENGTHS = (128, 512, 2048)
NAMES = ("numba-flash", "torch-sdpa")


def call_of(name, length, threads):
    """What makes one call and waits for it."""
    implementation = discover().of("attention").implementations[name]
    problem = Problem(q_heads=8, q_len=length, head_dim=64)
    bound = BoundCall(implementation, adapter(implementation.framework)("cpu", threads), problem)
    bound.bind(implementation.operator.inputs(problem))
    return bound.call_and_synchronize
