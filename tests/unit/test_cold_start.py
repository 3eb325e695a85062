"""After how many calls compiling has paid for itself."""

import math

import pytest

from harness.analysis.table import results
from tests.unit.factories import measured, run


def calls(**of):
    """break_even_calls by name, from (time, build) in seconds."""
    cells = [measured(name, *[time_s] * 4, build_s=build_s, first_call_s=time_s) for name, (time_s, build_s) in of.items()]
    return results(run(cells)).set_index("implementation").break_even_calls


def test_the_extra_cost_is_paid_by_what_each_call_gains():
    found = calls(jit=(1e-3, 0.5), plain=(2e-3, 0.0), slow=(9e-3, 0.0))
    assert found["jit"] == 500 and math.isnan(found["plain"]) and math.isnan(found["slow"])


def test_what_compiles_and_is_slower_never_pays():
    assert calls(jit=(3e-3, 0.5), plain=(2e-3, 0.0))["jit"] == math.inf


@pytest.mark.parametrize("of", [{"jit": (1e-3, 0.5)}, {"plain": (1e-3, 0.0)}])
def test_without_both_there_is_no_number(of):
    assert calls(**of).isna().all()
