"""Dropping lines of the processor's caches, by the instruction that any program may use for it.

CLFLUSHOPT or CLFLUSH (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2); DC CIVAC (Arm Architecture
Reference Manual, C5.3). Each writes a line back to memory and drops it from every cache of every core.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path

from harness.errors import Unavailable

LINE_BYTES = 64
"""No processor that has the instructions has shorter lines; of longer ones some are dropped twice."""

_FENCES = {"clflushopt ($0)": "mfence", "clflush ($0)": "mfence", "dc civac, $0": "dsb sy"}

_LOOP = """
define void @evict(i64 %first, i64 %lines) {{
entry:
  br label %line
line:
  %n = phi i64 [ 0, %entry ], [ %next, %line ]
  %offset = mul i64 %n, {line_bytes}
  %address = add i64 %first, %offset
  call void asm sideeffect "{drop}", "r,~{{memory}}"(i64 %address)
  %next = add i64 %n, 1
  %done = icmp uge i64 %next, %lines
  br i1 %done, label %end, label %line
end:
  call void asm sideeffect "{fence}", "~{{memory}}"()
  ret void
}}
"""


def unavailable_reason() -> str:
    """Why lines of this processor's caches cannot be dropped by a program, or ""."""
    return "" if _instruction() else f"no instruction is known that drops lines of the caches of {platform.machine()}"


def evict(address: int, size: int) -> None:
    """Drop `size` bytes of this process's memory from all caches. Raises `Unavailable` on a processor that cannot."""
    if size:
        _compiled()(address, (address % LINE_BYTES + size + LINE_BYTES - 1) // LINE_BYTES)


def _instruction() -> str:
    if platform.machine() in ("aarch64", "arm64"):
        return "dc civac, $0"
    if platform.machine() not in ("x86_64", "AMD64"):
        return ""
    information = Path("/proc/cpuinfo")
    # The older one, which every such processor has, waits for one line after the other.
    is_known = information.exists() and "clflushopt" in information.read_text(encoding="utf-8").split()
    return "clflushopt ($0)" if is_known else "clflush ($0)"


@cache
def _compiled() -> Callable[[int, int], None]:
    """What drops so many lines from an address on. Not by Numba: that would be imported beside every other framework."""
    from llvmlite import binding

    drop = _instruction()
    if not drop:
        raise Unavailable(unavailable_reason())
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()  # The instruction is given as text.
    module = binding.parse_assembly(_LOOP.format(drop=drop, fence=_FENCES[drop], line_bytes=LINE_BYTES))
    engine = binding.create_mcjit_compiler(module, binding.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    call = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)(engine.get_function_address("evict"))
    call.engine = engine  # type: ignore[attr-defined]  # The code lives as long as it.
    return call
