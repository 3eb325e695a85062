"""Functions that only compiled functions call: compiled as one with whatever kernel they are part of.

Numba would optimise each of them, make machine code of it, and optimise it once more with every function around it: most of
the time that compiling takes. Here a function stays as Numba wrote it, in LLVM's intermediate representation, until all of
a kernel is there, and that is optimised once.

What this needs of Numba is what it compiles its own library functions with, and no interface that it promises.
"""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Flags, compile_internal
from numba.core.registry import cpu_target
from numba.extending import intrinsic


class _DeferredLibrary(JITCodeLibrary):
    """A function and those that it calls, linked but neither optimised nor translated to machine code."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalized = True


def _compiled(typing, function, arguments):
    """The function for arguments of these types: its part, and what its caller must know of it."""
    flags = Flags()
    # No memory is owned here, so there are no references to count either ("nrt").
    cpu_target.options.parse_as_flags(flags, {"nopython": True, "error_model": "numpy", "_nrt": False})
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    target = cpu_target.target_context
    part = _DeferredLibrary(target.codegen(), function.__qualname__)
    return compile_internal(typing, target, part, function, arguments, None, flags, {})


def deferred_codegen(function: Callable) -> Callable:
    """Decorator for them. Arguments are passed by position.

    Whether a function has raised is not looked at: a kernel runs on threads that have nobody to raise to.
    """

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
    definition.__signature__ = own.replace(parameters=[first, *own.parameters.values()])  # What Numba reads names from.
    return intrinsic(definition)
