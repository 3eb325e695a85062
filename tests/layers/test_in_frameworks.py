"""The tests in `inside`, each framework's in a process of its own: TensorFlow and PyTorch do not share one well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.frameworks import adapter

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"
PATIENCE_S = 900

# Nearly all of the time is LLVM's for XLA: its expensive passes, which are not what is tested, take half of it.
JAX = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}

RUNS = {
    "keras-tensorflow": ("keras", "keras", {"KERAS_BACKEND": "tensorflow"}),
    "keras-jax": ("keras", "jax", {"KERAS_BACKEND": "jax", **JAX}),
    "torch": ("torch", "torch", {}),
    "jax": ("jax", "jax", JAX),
}
"""The folder, the framework that it needs beside what the folder says, and the environment."""


@pytest.mark.parametrize("name", RUNS)
def test_the_layer_in(name):
    folder, needed, environment = RUNS[name]
    missing = adapter(folder).unavailable("cpu") or adapter(needed).unavailable("cpu")
    if missing:
        pytest.skip(missing)
    files = sorted(map(str, (INSIDE / folder).glob("[!_]*.py")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "--tb=short", *files],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout
