"""What the processor can do at most, as lines of the report."""

from __future__ import annotations

from harness.records.limits import Limits


def limits(found: Limits) -> list[str]:
    """A line for each dtype, one for reading, and what is to be known of them."""
    threads, lines = found.threads, []
    for one in found.arithmetic:
        told = [
            f"{rates[threads] / 1e9:.0f} GFLOP/s {how}"
            for how, rates in (
                ("of multiply-adds in registers", one.peak_flops_per_s),
                ("in a large matrix product", one.product_flops_per_s),
            )
            if threads in rates
        ]
        if told:
            lines.append(f"- {one.dtype}: {', '.join(told)}")
    levels = [(level.name, level.read_bytes_per_s) for level in found.caches] + [("memory", found.memory_read_bytes_per_s)]
    reading = [f"{name} {rates[threads] / 1e9:.0f} GB/s" for name, rates in levels if threads in rates]
    if reading:
        lines.append(f"- reading from {', '.join(reading)}")
    return lines + [f"- limits: {warning}" for warning in found.warnings]
