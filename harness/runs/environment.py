"""What machine, what versions, what settings: read from the system, changed nowhere."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from harness.records.machine import Machine
from harness.workers.cgroup import Groups

DISTRIBUTIONS = (
    "attention-harness", "numpy", "numba", "llvmlite", "scipy", "pandas", "ml_dtypes",
    "torch", "tensorflow", "keras", "jax", "jaxlib", "flax", "onnxruntime", "openvino", "zentorch", "numba-cuda",
    "triton",
)  # fmt: skip

_SIMD = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


def machine(threads: int) -> Machine:
    """This machine, as far as it can be read."""
    import psutil

    cpu = _cpu()
    return Machine(
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        processor=_processor(cpu),
        instruction_sets=tuple(name for name in _SIMD if name in cpu.get("flags", cpu.get("Features", "")).split()),
        cores=psutil.cpu_count(logical=False),
        logical_cpus=psutil.cpu_count(),
        usable_cpus=len(os.sched_getaffinity(0)),
        threads=threads,
        cpu_quota=Groups().cpus(),
        memory_bytes=psutil.virtual_memory().total,
        memory_available_bytes=psutil.virtual_memory().available,
        memory_limit_bytes=Groups().memory_bytes(),
        virtual_machine="hypervisor" in cpu.get("flags", "").split(),
        governor=_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_average=os.getloadavg(),
        gpus=tuple(_gpus()),
        system=platform.platform(),
        python=platform.python_version(),
        versions=_versions(),
        commit=_commit(),
        command=tuple(sys.argv[1:]),
    )


def _cpu() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    return fields


def _processor(cpu: dict[str, str]) -> str:
    """Its name, and on x86 the numbers that tell generations apart: virtual machines often shorten the name."""
    name = cpu.get("model name", platform.processor() or platform.machine())
    return f"{name} (family {cpu['cpu family']}, model {cpu['model']})" if {"cpu family", "model"} <= cpu.keys() else name


def _versions() -> dict[str, str]:
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _gpus() -> list[str]:
    return _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader").splitlines()


def _commit() -> str:
    root = Path(__file__).parents[2]
    commit = _output("git", "-C", str(root), "rev-parse", "HEAD")
    changed = commit and _output("git", "-C", str(root), "status", "--porcelain", "--", "harness", "impls")
    return f"{commit} with changes" if changed else commit


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
