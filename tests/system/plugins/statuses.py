"""One implementation for every way in which a cell can end."""

import ctypes
import os

import numpy as np

from harness.registry import Supports, implementation


def _right(problem):
    def attention(q, k, v):
        s = problem.scale * (q @ k.swapaxes(-1, -2))
        p = np.exp(s - s.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True)) @ v

    return attention


@implementation("right")
def right(problem):
    """The formula."""
    return _right(problem)


@implementation("wrong-answer")
def wrong_answer(problem):
    """Forgets the scale."""

    def attention(q, k, v):
        return _right(problem)(q / problem.scale, k, v)

    return attention


@implementation("wrong-shape")
def wrong_shape(problem):
    """Loses an axis."""
    return lambda q, k, v: _right(problem)(q, k, v)[0]


@implementation("not-a-number")
def not_a_number(problem):
    """Writes nan into one element."""

    def attention(q, k, v):
        o = _right(problem)(q, k, v)
        o[0, 0, -1, -1] = np.nan
        return o

    return attention


@implementation("writes-its-input")
def writes_its_input(problem):
    """Scales q in place; its first answer is right."""

    def attention(q, k, v):
        o = _right(problem)(q, k, v)
        q *= 1.0000001
        return o

    return attention


@implementation("wrong-later")
def wrong_later(problem):
    """Right at first, wrong after five calls."""
    calls = []

    def attention(q, k, v):
        calls.append(None)
        return _right(problem)(q, k, v) * (1 if len(calls) <= 5 else 2)

    return attention


@implementation("wrong-while-timed")
def wrong_while_timed(problem):
    """Recognises that it is being timed, and does nothing then."""
    import gc

    def attention(q, k, v):
        return _right(problem)(q, k, v) if gc.isenabled() else np.zeros_like(q)

    return attention


@implementation("raises")
def raises(problem):
    """Raises when it is called."""

    def attention(q, k, v):
        raise RuntimeError("this kernel has no soul")

    return attention


@implementation("raises-when-built")
def raises_when_built(problem):
    """Raises before there is anything to call."""
    raise ZeroDivisionError("a tile of zero rows")


@implementation("endless")
def endless(problem):
    """A native call that never comes back, holding the interpreter lock: no signal handler in Python can run."""

    def attention(q, k, v):
        library = ctypes.PyDLL(None)
        while True:
            library.usleep(1_000_000)

    return attention


@implementation("memory-hog")
def memory_hog(problem):
    """Takes memory, and touches it, until there is no more."""

    def attention(q, k, v):
        hoard = []
        while True:
            hoard.append(np.ones(2**24))

    return attention


@implementation("aborts")
def aborts(problem):
    """Dies of SIGABRT, as a failed assertion in C++ would."""

    def attention(q, k, v):
        print("about to abort", flush=True)
        os.abort()

    return attention


@implementation("exits")
def exits(problem):
    """Ends the process without a word."""

    def attention(q, k, v):
        os._exit(7)

    return attention


@implementation("no-such-dtype", supports=Supports(dtypes=("float16",)))
def no_such_dtype(problem):
    """Supports nothing that it will be asked for."""
    return _right(problem)


@implementation("no-such-machine", unavailable_reason=lambda device: "needs a quantum computer")
def no_such_machine(problem):
    """Cannot run here."""
    return _right(problem)


@implementation("too-slow")
def too_slow(problem):
    """Takes time in proportion to its work: the larger problem is not begun."""
    import time

    def attention(q, k, v):
        end = time.perf_counter() + problem.dense_flops * 4e-7
        while time.perf_counter() < end:
            pass
        return _right(problem)(q, k, v)

    return attention
