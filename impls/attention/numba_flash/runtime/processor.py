"""The processor that Numba compiles for: its vectors, its instructions, its caches."""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from llvmlite import binding
from numba.core import config


def features() -> set[str]:
    """The processor features that Numba compiles for: the host's, or those of NUMBA_CPU_FEATURES."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, present in binding.get_host_cpu_features().items() if present}


@cache
def _is_x86() -> bool:
    """Whether this is an x86 processor; others are ARM's. Asks for the target, as NUMBA_CPU_FEATURES may be empty."""
    return binding.get_process_triple().startswith(("x86_64", "i686"))


@cache
def vector_bytes() -> int:
    """Bytes of a vector register: 64 with AVX-512, 32 with AVX2 and FMA, else 16 (SSE2, NEON)."""
    present = features()
    if "avx512f" in present:
        return 64
    return 32 if {"avx2", "fma"} <= present else 16


@cache
def registers() -> int:
    """Vector registers: AVX-512 and NEON have 32, SSE and AVX2 have 16."""
    return 16 if _is_x86() and vector_bytes() < 64 else 32


def fuses() -> bool:
    """Whether the processor has fused multiply-adds: with FMA, AVX-512, and on ARM."""
    return bool(features() & {"fma", "avx512f"}) or not _is_x86()


def has_float16() -> bool:
    """Whether the processor converts float16: with F16C, AVX-512, and on ARM."""
    return bool(features() & {"f16c", "avx512f"}) or not _is_x86()


def has_bfloat16_products() -> bool:
    """Whether the processor multiplies pairs of bfloat16 numbers and adds them to float32 ones (AVX512-BF16)."""
    return {"avx512f", "avx512bf16"} <= features()


def has_fast_bfloat16_products() -> bool:
    """Whether such a product of pairs takes no longer than two products of float32 numbers, as on AMD's Zen 4 and Zen 5.

    On Intel's Emerald Rapids it takes four times as long as one: a matrix product of pairs runs at 81 GFLOP/s a core, one
    of float32 numbers at 150.
    """
    return has_bfloat16_products() and (config.CPU_NAME or binding.get_host_cpu_name()).startswith("znver")


_ARCH_PRCTL, _REQUEST, _TILE_STATE = 158, 0x1023, 18
"""Linux on x86-64: the system call arch_prctl, its request ARCH_REQ_XCOMP_PERM, and the number of the state of tiles."""


@cache
def amx() -> str:
    """What multiplies matrix tiles of bfloat16 numbers: the "processor" (AMX), vectors ("emulated"), or nothing ("").

    The environment variable NUMBA_FLASH_AMX=off keeps to vectors; "emulated" makes the tiles of vectors.
    """
    wanted = os.environ.get("NUMBA_FLASH_AMX", "")
    if wanted not in ("", "off", "emulated"):
        raise ValueError(f"NUMBA_FLASH_AMX must be off, emulated or empty, not {wanted!r}")
    if wanted == "off" or not has_bfloat16_products():
        return ""
    if wanted:
        return wanted
    return "processor" if {"amx-tile", "amx-bf16"} <= features() and _may_use_amx() else ""


def _may_use_amx() -> bool:
    """Request tile registers from Linux, which grants them to a process on demand only."""
    if sys.platform != "linux":
        return False
    system_call = ctypes.CDLL(None).syscall
    system_call.argtypes = [ctypes.c_long] * 3
    return system_call(_ARCH_PRCTL, _REQUEST, _TILE_STATE) == 0


def first_level_cache() -> int:
    """Bytes of a core's first-level data cache; if Linux does not say, 32 KiB, the least of today's."""
    return _cache("1", "Data") or 32 * 1024


def second_level_cache() -> int:
    """Bytes of a core's second-level cache; if Linux does not say, 256 KiB, the least of today's."""
    return _cache("2", "Unified") or 256 * 1024


@cache
def _cache(level: str, kind: str) -> int:
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        *found, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if found == [level, kind] and size.endswith("K"):
            return int(size[:-1]) * 1024
    return 0
