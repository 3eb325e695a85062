"""The CUDA kernels compiled for a real device without one: typing and code generation that the simulator does not see."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.frameworks.base import SIMULATOR

ROOT = Path(__file__).parents[2]

PROGRAM = """
from numba import cuda, boolean, float32, int64, types
from attention_harness.implementations.attention.numba_cuda import naive, tiled
arrays = types.Array(float32, 4, "C")
masks = types.Array(boolean, 4, "C")
kernels = [(naive.softmax_kernel, (arrays,)), (naive.values_kernel, (arrays,) * 3)]
for mask in (arrays, masks):
    modifiers = (float32, float32, int64, int64, mask, boolean, arrays, boolean)
    kernels.append((naive.scores_kernel, (arrays,) * 3 + modifiers))
    for widths in ((64, 64), (256, 200)):
        kernels.append((tiled.forward_kernel(*widths), (arrays,) * 4 + modifiers))
for kernel, signature in kernels:
    ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=(9, 0))
    shared = sum(int(line.split("[")[1].split("]")[0]) for line in ptx.splitlines() if ".shared .align" in line)
    print(kernel.py_func.__name__, "entry" if ".entry" in ptx else "none", ptx.count(".f64"), shared)
"""


def test_kernels_compile_in_float32_and_fit_in_shared_memory():
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed; it comes with attention-harness[cuda]")
    environment = {name: value for name, value in os.environ.items() if name != SIMULATOR}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    for line in lines:
        name, entry, doubles, shared_bytes = line.split()
        assert entry == "entry", name
        assert int(doubles) == 0, f"{name} computes in float64"
        assert int(shared_bytes) <= 48 * 1024, f"{name} needs more shared memory than every device has"
