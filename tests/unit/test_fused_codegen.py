"""Deferred code generation gives the fused CPU kernels the bits that plain `numba.njit` gives them."""

import os
import subprocess
import sys

import pytest
from attention_harness.implementations.attention.numba_flash.runtime import sources

OUTPUTS = """
import hashlib
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem
from attention_harness.implementations.attention.numba_flash.attention import Fused

COMMON = {"q_heads": 4, "kv_heads": 2, "head_dim": 16, "direction": "backward"}
for changes in (
    {"q_len": 70, "kv_len": 90, "causal": "bottom-right", "softcap": 3.0},
    {"q_len": 37, "kv_len": 1100, "mask": "random-11qk", "bias": "normal-bhqk", "head_dim": 24, "dtype": "bfloat16"},
    {"q_len": 1, "kv_len": 700},
):
    problem = Problem(**{**COMMON, **changes})
    inputs, kernels = make_inputs(problem, 1), Fused(problem, 3)
    state = kernels.new_softmax_state()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, softmax_state=state)
    by_rows = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do, **inputs.extras)
    print(*(hashlib.sha256(x.tobytes()).hexdigest() for x in (o, state, by_rows, *gradients)))
"""


def run(code, codegen):
    environment = {**os.environ, "NUMBA_FLASH_CODEGEN": codegen}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.compiles
def test_both_ways_give_the_same_bits():
    deferred, njit = run(OUTPUTS, ""), run(OUTPUTS, "njit")
    assert deferred.returncode == njit.returncode == 0, (deferred.stderr + njit.stderr)[-2000:]
    assert len(deferred.stdout.split()) == 3 * 6
    assert deferred.stdout == njit.stdout


def test_another_way_is_refused():
    done = run("from attention_harness.implementations.attention.numba_flash import attention", "jit")
    assert "NUMBA_FLASH_CODEGEN must be deferred, njit or empty, not 'jit'" in done.stderr


def test_compiled_code_of_one_way_is_not_taken_for_that_of_the_other(monkeypatch):
    digests = []
    for codegen in ("deferred", "njit"):
        monkeypatch.setattr(sources, "codegen", lambda codegen=codegen: codegen)
        digests.append(sources.digest.__wrapped__("task"))
    assert digests[0] != digests[1]
