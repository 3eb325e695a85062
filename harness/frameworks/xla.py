"""What XLA says that a program runs, in the text of the compiled program (HLO)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from harness.frameworks.base import DTYPES_IN_SHORT, Kernel

_INSTRUCTION = re.compile(r"= \(?(\w+)\[[^=]*? (dot|convolution|custom-call|fusion)\(([^\n]*)")
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
_LIBRARY = re.compile(r'kind=kCustom.*?"kind":"(\w+)"')


def library_calls(programs: Iterable[str]) -> list[Kernel]:
    """The products of matrices and the calls of libraries, the most frequent first."""
    found: Counter[Kernel] = Counter()
    for text in programs:
        for kind, instruction, rest in _INSTRUCTION.findall(text):
            target = {"custom-call": _TARGET, "fusion": _LIBRARY}.get(instruction)
            match = target and target.search(rest)
            if target and not match:
                continue
            found[Kernel(f"XLA {match[1] if match else instruction}", DTYPES_IN_SHORT.get(kind, ""))] += 1
    return [kernel for kernel, _ in found.most_common()]
