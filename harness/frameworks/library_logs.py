"""What libraries of the processor say that they ran: oneDNN and MKL write a line for each of their kernels.

oneDNN: https://uxlfoundation.github.io/oneDNN/dev_guide_verbose.html; MKL: its developer guide, "Using verbose mode".
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from harness.frameworks.base import DTYPES_IN_SHORT, Kernel, most_of

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_MKL = re.compile(r"^MKL_VERBOSE (\w+)\(.*\) ([\d.]+)(s|ms|us|ns) ")
_MEMORY = re.compile(r"(?<![a-z0-9])(bf16|f16|f32|f64)(?![a-z0-9])")


@contextmanager
def printed() -> Iterator[list[str]]:
    """The lines that libraries print meanwhile on the standard output; the list is filled at the end."""
    lines: list[str] = []
    flush = ctypes.CDLL(None).fflush
    flush(None)
    with tempfile.TemporaryFile() as file:
        standard = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            flush(None)
            os.dup2(standard, 1)
            os.close(standard)
        file.seek(0)
        lines += file.read().decode(errors="replace").splitlines()


def library_kernels(lines: list[str]) -> list[Kernel]:
    """The kernels of the lines that took most of their time, the longest first."""
    seconds: Counter[Kernel] = Counter()
    for line in lines:
        kernel, took_s = _onednn(line) or _mkl(line) or (None, 0.0)
        if kernel:
            seconds[kernel] += took_s  # type: ignore[assignment]
    return most_of(seconds)


def _onednn(line: str) -> tuple[Kernel, float] | None:
    fields = line.split(",")
    if not line.startswith("onednn_verbose,") or "exec" not in fields:
        return None
    try:
        _, kind, name, _, memory = fields[fields.index("exec") + 1 :][:5]
        found = _MEMORY.search(memory)
        return Kernel(f"oneDNN {kind} {name}", DTYPES_IN_SHORT[found[0]] if found else ""), float(fields[-1]) * 1e-3
    except ValueError:
        return None


def _mkl(line: str) -> tuple[Kernel, float] | None:
    found = _MKL.match(line)
    if not found:
        return None
    name, number, unit = found.groups()
    dtype = (
        "bfloat16" if "BF16" in name else "float16" if "F16" in name else {"S": "float32", "D": "float64"}.get(name[0], "")
    )
    return Kernel(f"MKL {name}", dtype), float(number) * _SECONDS[unit]
