"""`harness check` on implementations that only a process of its own can convict."""

MOMENTARY = '''
import numpy as np
from harness.registry import Supports, implementation


@implementation("momentary", framework="numpy", supports=Supports(mask=True))
def momentary(problem):
    """Turns the sign of the caller's q while it computes, and turns it back."""

    def attention(q, k, v, mask=None):
        np.negative(q, out=q)
        s = -problem.scale * (q @ k.swapaxes(-1, -2))
        np.negative(q, out=q)
        s = s if mask is None else np.where(mask, s, -np.inf)
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    return attention
'''


def test_who_writes_to_an_input_for_a_moment_is_told_so_and_the_next_cases_run(harness):
    plugin = harness.write("momentary.py", MOMENTARY)
    done = harness("check", "--plugin", plugin, "--impl", "momentary", "--case", "arrays")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "arrays/protected" in line and line.startswith("incorrect")]
    assert lines and "an input was written to during the call" in lines[0]
    assert any(line.startswith("ok") and "arrays/protected-long" not in line for line in done.stdout.splitlines())
    after = done.stdout.partition("arrays/protected,")[2]
    assert "momentary  arrays/fused" in after
