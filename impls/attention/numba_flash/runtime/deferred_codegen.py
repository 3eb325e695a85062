"""Functions that only compiled functions call, compiled as one with the kernel they are part of.

Numba would optimise each of them, make machine code of it, and optimise it again with every function around it: most of the
time that compiling takes. Here a function stays as Numba wrote it, in LLVM's intermediate representation, until a kernel is
complete, and that is optimised once.

Uses private Numba APIs, those with which Numba compiles its own library functions; tested with 0.61 and 0.68. The
environment variable NUMBA_FLASH_CODEGEN=njit does without them: the same results to the last bit, compiled more slowly.
"""

import os
from collections.abc import Callable
from functools import cache, wraps
from inspect import Parameter, signature

import numba
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Flags, compile_internal
from numba.core.registry import cpu_target
from numba.extending import intrinsic


@cache
def codegen() -> str:
    """How functions are compiled: "deferred", or "njit" if NUMBA_FLASH_CODEGEN says so. Read once."""
    wanted = os.environ.get("NUMBA_FLASH_CODEGEN") or "deferred"
    if wanted not in ("deferred", "njit"):
        raise ValueError(f"NUMBA_FLASH_CODEGEN must be deferred, njit or empty, not {wanted!r}")
    return wanted


class _DeferredLibrary(JITCodeLibrary):
    """A function and those that it calls, linked but neither optimised nor translated to machine code."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalized = True


def _compiled(typing, function, arguments):
    """The function for arguments of these types: its library and its signature."""
    flags = Flags()
    # Nothing allocates, so no references are counted ("nrt").
    cpu_target.options.parse_as_flags(flags, {"nopython": True, "error_model": "numpy", "_nrt": False})
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    target = cpu_target.target_context
    library = _DeferredLibrary(target.codegen(), function.__qualname__)
    return compile_internal(typing, target, library, function, arguments, None, flags, {})


def deferred_codegen(function: Callable) -> Callable:
    """Decorator for such a function. Arguments are passed by position. Exceptions are ignored."""
    if codegen() == "njit":
        return numba.njit(error_model="numpy")(function)

    @wraps(function)
    def definition(typing, *arguments):
        compiled = _compiled(typing, function, arguments)

        def generate(context, builder, kinds, values):
            context.active_code_library.add_linking_library(compiled.library)
            _, result = context.call_internal_no_propagate(builder, compiled.fndesc, kinds, values)
            return result

        return compiled.signature, generate

    own = signature(function)
    first = Parameter("typing", Parameter.POSITIONAL_OR_KEYWORD)
    definition.__signature__ = own.replace(parameters=[first, *own.parameters.values()])  # Numba reads names from it.
    return intrinsic(definition)
