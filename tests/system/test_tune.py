"""`harness tune`: an implementation beside the variants that it declares."""

import pandas as pd
import pytest

from tests.system.conftest import TINY_PROBLEMS

PLUGIN = '''
import numpy as np
from harness.registry import implementation

@implementation("mine", tunables={"block": (2, 4), "wrong": (True,)})
def mine(problem, block=8, wrong=False):
    """In blocks of queries."""
    def attention(q, k, v):
        parts = []
        for i in range(0, q.shape[2], block):
            s = problem.scale * q[:, :, i : i + block] @ k.swapaxes(-1, -2)
            p = np.exp(s - s.max(-1, keepdims=True))
            parts.append(p @ v if wrong else p / p.sum(-1, keepdims=True) @ v)
        return np.concatenate(parts, axis=2)
    return attention
'''


@pytest.fixture
def files(harness):
    return ["--plugin", harness.write("mine.py", PLUGIN), "--problems", harness.write("tiny.toml", TINY_PROBLEMS)]


def test_variants_are_measured_beside_the_own_choice(harness, files):
    done = harness("tune", "--impl", "mine", *files, "--out", "out")
    rows = pd.read_csv(harness.folder / "out" / "results.csv").set_index("implementation")
    assert set(rows.index) == {"mine", "mine[block=2]", "mine[block=4]", "mine[wrong=True]"}
    assert rows.status.to_dict() == dict.fromkeys(rows.index, "ok") | {"mine[wrong=True]": "incorrect"}
    assert set(rows.baseline.dropna()) == {"mine"}
    assert done.returncode == 1  # One was wrong.


def test_a_variant_is_an_implementation_like_any_other(harness, files):
    done = harness("check", "--impl", "mine[block=2],mine[wrong=True]", "--case", "values/float32", *files[:2])
    assert done.returncode == 1
    assert "mine[block=2]: 1 passed" in done.stdout
    assert "mine[wrong=True]: 0 passed, 1 incorrect" in done.stdout


def test_all_is_without_variants(harness, files):
    names = harness("list", *files[:2]).stdout
    assert "mine" in names
    assert "mine[" not in names


def test_nothing_to_tune(harness):
    for names in ("numpy", "numba-flash,numpy"):
        done = harness("tune", "--impl", names)
        assert done.returncode == 2
        assert done.stderr.startswith("harness: tune takes one implementation that declares what can be tuned (numba-flash)")
