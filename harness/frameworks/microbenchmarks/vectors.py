"""Vectors of the processor that Numba compiles for, and arithmetic on them in LLVM IR."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, config

_INT32, _DOUBLE = ir.IntType(32), ir.DoubleType()


@cache
def features() -> frozenset[str]:
    """LLVM's names of the processor's features: the host's, or those of NUMBA_CPU_FEATURES."""
    if config.CPU_FEATURES is not None:
        return frozenset(name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+"))
    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


def is_x86() -> bool:
    """Whether this is an x86 processor; others are ARM's."""
    return binding.get_process_triple().startswith(("x86_64", "i686"))


def vector_bytes() -> int:
    """Bytes of a vector register: 64 with AVX-512, 32 with AVX2, else 16 (SSE2, NEON)."""
    return 64 if "avx512f" in features() else 32 if "avx2" in features() else 16


def vector_registers() -> int:
    """AVX-512 and NEON have 32, SSE and AVX2 have 16."""
    return 16 if is_x86() and vector_bytes() < 64 else 32


def fuses() -> bool:
    """Whether it multiplies and adds in one instruction: with FMA, AVX-512, and on ARM."""
    return bool(features() & {"fma", "avx512f"}) or not is_x86()


def bits(kind: ir.Type) -> int:
    """Of a number of an LLVM type."""
    widths = {ir.HalfType(): 16, ir.FloatType(): 32, _DOUBLE: 64}
    return kind.width if isinstance(kind, ir.IntType) else widths[kind]


def splat(builder: Any, value: Any) -> Any:
    """A vector register of equal elements."""
    lanes = vector_bytes() * 8 // bits(value.type)
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INT32(0))
    zeros = ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def add_product(builder: Any, a: Any, b: Any, total: Any) -> Any:
    """total + a * b, in one instruction where the processor has it: LLVM would emulate it by calls of a function."""
    if not fuses():
        return builder.fadd(builder.fmul(a, b), total)
    kind = ir.FunctionType(total.type, [total.type] * 3)
    name = f"llvm.fma.v{total.type.count}f{bits(total.type.element)}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, total])


def add_bfloat16_products(builder: Any, a: Any, b: Any, total: Any) -> Any:
    """total + the products of each lane's pairs of bfloat16 numbers, in vectors of int32 (VDPBF16PS)."""
    kind = ir.FunctionType(total.type, [total.type, a.type, b.type])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
    return builder.call(function, [total, a, b])


def add_lanes(builder: Any, vectors: list[Any]) -> Any:
    """All lanes of all vectors added up, as a double. Sums of float16 numbers are of float32."""
    lanes = vectors[0].type.count
    if vectors[0].type.element == ir.HalfType():
        vectors = [builder.fpext(vector, ir.VectorType(ir.FloatType(), lanes)) for vector in vectors]
    together = vectors[0]
    for vector in vectors[1:]:
        together = builder.fadd(together, vector)
    total = ir.Constant(_DOUBLE, 0.0)
    for lane in range(lanes):
        number = builder.extract_element(together, _INT32(lane))
        total = builder.fadd(total, number if number.type == _DOUBLE else builder.fpext(number, _DOUBLE))
    return total
