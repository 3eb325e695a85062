"""The examples of docs/layers.md run as they stand, and print what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.frameworks import adapter

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", (ROOT / "docs/layers.md").read_text(), re.DOTALL)


def framework(code):
    return re.search(r"harness\.layers\.(\w+)", code).group(1)


def test_every_framework_has_an_example():
    assert sorted(framework(code) for code, _ in EXAMPLES) == ["jax", "keras", "torch"]


@pytest.mark.parametrize("code, printed", EXAMPLES, ids=[framework(code) for code, _ in EXAMPLES])
def test_example(code, printed, tmp_path):
    missing = adapter(framework(code)).unavailable("cpu")
    if missing:
        pytest.skip(missing)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed
