"""Multiply-adds in vector registers and nothing else: the highest rate at which the processor does them.

A pipe starts a multiply-add each cycle and takes 4 or 5 cycles for it, and today's processors have 2 to 4 pipes. At least
as many independent sums as pipes times cycles keep them busy: 8 to 10 on Intel's and AMD's, 16 on ARM's widest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from harness.frameworks.microbenchmarks.vectors import (
    add_bfloat16_products,
    add_lanes,
    add_product,
    bits,
    features,
    splat,
    vector_bytes,
    vector_registers,
)


@dataclass(frozen=True)
class Form:
    """How the numbers of a dtype lie in registers, and how far they can be added up."""

    one: Any
    """The number 1 as it is stored: the bits of half precision, of which Numba has no numbers. Its type tells the dtype."""
    factors: ir.Type
    """The element of a vector of factors; a pair of bfloat16 numbers has 32 bits."""
    sums: ir.Type
    """The element of a vector of sums."""
    products: int
    """Multiply-adds for an element of a vector of sums."""
    steps: int
    """How often `products` may be added to each sum: a sum, and all of them together, are then still exact."""


_HALF, _FLOAT, _DOUBLE, _PAIR = ir.HalfType(), ir.FloatType(), ir.DoubleType(), ir.IntType(32)

FORMS = {
    "float64": Form(np.float64(1), _DOUBLE, _DOUBLE, 1, 2**16),
    "float32": Form(np.float32(1), _FLOAT, _FLOAT, 1, 2**16),
    "bfloat16": Form(np.int16(0x3F80), _PAIR, _FLOAT, 2, 2**16),
    "float16": Form(np.uint16(0x3C00), _HALF, _HALF, 1, 2**11),
}

_DTYPES = {types.float64: "float64", types.float32: "float32", types.int16: "bfloat16", types.uint16: "float16"}


def unavailable_reason(dtype: str) -> str:
    """Why there is no kernel for `dtype` and this processor, or ""."""
    if dtype not in FORMS:
        return f"there is no kernel for {dtype}"
    if dtype == "bfloat16" and "amx-bf16" in features():
        return "the processor multiplies bfloat16 numbers fastest in matrix tiles (AMX), for which there is no kernel"
    needed = {"bfloat16": "avx512bf16", "float16": "avx512fp16"}.get(dtype)
    if needed and not {"avx512f", needed} <= features():
        return f"the processor has no {needed}, the only instructions on {dtype} numbers for which there is a kernel"
    return ""


def sums() -> int:
    """Vectors of sums, which leave registers for the factors."""
    return vector_registers() * 3 // 4


def products(dtype: str, chunks: int) -> int:
    """Multiply-adds of `multiply_add(dtype, chunks)`."""
    form = FORMS[dtype]
    return chunks * form.steps * sums() * (vector_bytes() * 8 // bits(form.sums)) * form.products


def multiply_add(dtype: str, chunks: int) -> float:
    """Add 1 times 1 `products(dtype, chunks)` times, and return the sum. Releases the interpreter's lock.

    A chunk adds up from zero in registers, in the dtype that the instruction adds in.
    """
    form = FORMS[dtype]
    return multiply_add_chunks(chunks, form.steps, form.one)


@numba.njit(nogil=True, cache=True)
def multiply_add_chunks(chunks: int, steps: int, one: Any) -> float:
    """The sum of `chunks` chunks of `steps` steps, compiled for the type of `one`."""
    total = 0.0
    for _ in range(chunks):
        total += _chunk(steps, one)
    return total


@intrinsic
def _chunk(typing: Any, steps: Any, one: Any) -> Any:
    """The total of `steps` products added to each sum."""
    dtype = _DTYPES[one]
    form = FORMS[dtype]
    register = vector_bytes() * 8
    add = add_bfloat16_products if dtype == "bfloat16" else add_product

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        steps, one = arguments
        factors = builder.bitcast(splat(builder, one), ir.VectorType(form.factors, register // bits(form.factors)))
        lanes = register // bits(form.sums)
        zero = ir.Constant(ir.VectorType(form.sums, lanes), [0.0] * lanes)
        totals = [cgutils.alloca_once_value(builder, zero) for _ in range(sums())]
        with cgutils.for_range(builder, steps):
            # LLVM can neither leave out a step nor move one out of a loop, as it does not know what this instruction does.
            builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", (), True)
            for total in totals:
                builder.store(add(builder, factors, factors, builder.load(total)), total)
        return add_lanes(builder, [builder.load(total) for total in totals])

    return types.float64(types.intp, one), generate
