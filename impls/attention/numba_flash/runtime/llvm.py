"""The types of LLVM IR that every module uses, and the size of a cache line."""

from llvmlite import ir

INT8, INT16, INT32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)

INTP = ir.IntType(64)
"""An address, a count or a stride."""

CACHE_LINE = 64
"""Bytes of a cache line, and of the longest vector."""
