"""Implementations that fool a benchmark, each with the way that it was done elsewhere. None may get a time like a kernel's.

Those of `WRONG` are to be refused. Those of `HONEST` are right; what each prints when its trick works must never be seen.
"""

import contextlib
import gc
import hashlib
import random
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from harness.registry import Supports, implementation

SUPPORTS = Supports(dtypes=("float32",))


def solve(problem, q, k, v):
    """The formula."""
    s = problem.scale * (q @ k.swapaxes(-1, -2))
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


def declared(name):
    return implementation(name, supports=SUPPORTS)


# --- the controls ------------------------------------------------------------------------------------


@declared("right")
def right(problem):
    """What must pass."""
    return lambda q, k, v: solve(problem, q, k, v)


@declared("wrong")
def wrong(problem):
    """What must not."""
    return lambda q, k, v: solve(problem, q, k, v) * np.float32(1.01)


# --- answers that were kept --------------------------------------------------------------------------


def keeping(problem, fingerprint):
    kept = {}

    def attention(q, k, v):
        key = fingerprint(q, k, v)
        if key in kept:
            print("ANSWERED FROM MEMORY")
        else:
            kept[key] = solve(problem, q, k, v)
        return kept[key].copy()

    return attention


@declared("memo-by-value")
def memo_by_value(problem):
    """Keeps its answers by all that it is given: right, and no faster, where values never come again."""
    return keeping(problem, lambda *arrays: hashlib.sha256(b"".join(x.tobytes() for x in arrays)).hexdigest())


@declared("memo-by-some-values")
def memo_by_some_values(problem):
    """Keeps them by the first elements."""
    return keeping(problem, lambda *arrays: tuple(x.flat[0] for x in arrays))


@declared("memo-by-address")
def memo_by_address(problem):
    """Keeps them by where the arrays lie."""
    return keeping(problem, lambda *arrays: tuple(x.ctypes.data for x in arrays))


@declared("memo-by-sums")
def memo_by_sums(problem):
    """Keeps them by a sum of what it is given, which no order of the values changes."""
    return keeping(problem, lambda *arrays: tuple(round(float(np.sort(x, axis=None)[-1]), 3) for x in arrays))


@declared("memo-from-the-third-call")
def memo_from_the_third_call(problem):
    """Works while it is looked at, it believes; then returns what it had."""
    seen = []

    def attention(q, k, v):
        if len(seen) < 3:
            seen.append(solve(problem, q, k, v))
        return seen[-1].copy()

    return attention


# --- work that is done later, or not at all ----------------------------------------------------------


class Lazy:
    """Computes when somebody looks."""

    def __init__(self, work):
        self.work = work

    def __array__(self, dtype=None, copy=None):
        return self.work()


@declared("lazy")
def lazy(problem):
    """Returns a promise; MLX, Dask, JAX in the framework "numpy" do it unasked."""
    return lambda q, k, v: Lazy(lambda: solve(problem, q, k, v))


class LazyArray(np.ndarray):
    """An array that is filled when somebody copies it."""

    def copy(self, order="C"):
        np.ndarray.__setitem__(self, ..., self.work())
        return np.asarray(self).copy(order)


@declared("lazy-subclass")
def lazy_subclass(problem):
    """Returns an array of its own kind."""

    def attention(q, k, v):
        o = np.empty_like(q).view(LazyArray)
        o.work = lambda: solve(problem, q, k, v)
        return o

    return attention


@declared("writes-late")
def writes_late(problem):
    """Hands the work to a thread, and returns at once."""

    def attention(q, k, v):
        o = np.zeros_like(q)

        def work():
            time.sleep(0.002)
            o[...] = solve(problem, q, k, v)

        threading.Thread(target=work).start()
        return o

    return attention


@declared("half-of-the-rows")
def half_of_the_rows(problem):
    """Leaves rows as they were in an array that it keeps."""
    o = None

    def attention(q, k, v):
        nonlocal o
        if o is None:
            o = solve(problem, q, k, v)
        half = q.shape[2] // 2
        o[:, :, :half] = solve(problem, q[:, :, :half], k, v)
        return o

    return attention


@declared("returns-an-input")
def returns_an_input(problem):
    """Nothing is as fast."""
    first = True

    def attention(q, k, v):
        nonlocal first
        if first:
            first = False
            return solve(problem, q, k, v)
        return v

    return attention


@declared("honest-after-a-pause")
def honest_after_a_pause(problem):
    """Believes that the call which is verified comes later than the others, and works only then."""
    gaps, last, o = [], None, None

    def attention(q, k, v):
        nonlocal last, o
        now = time.perf_counter()
        gaps.append(now - last if last else 0.0)
        if o is None or len(gaps) < 12 or gaps[-1] > 3 * sorted(gaps[-12:])[6]:
            o = solve(problem, q, k, v)
        last = time.perf_counter()
        return o.copy()

    return attention


# --- changes to what measures ------------------------------------------------------------------------


@declared("slows-the-clock")
def slows_the_clock(problem):
    """A second has ten seconds."""
    clock = time.perf_counter
    time.perf_counter = lambda: clock() / 10
    return lambda q, k, v: solve(problem, q, k, v)


@declared("changes-the-loop")
def changes_the_loop(problem):
    """Has other values written nowhere, so that a kept answer is right."""
    from harness.measure import fresh_call

    fresh_call.FreshCall.next_call = lambda self: self.bound.call
    return memo_by_value.factory(problem)


@declared("changes-the-random-numbers")
def changes_the_random_numbers(problem):
    """Has the same values come again and again."""
    kind = random.Random
    random.Random = lambda *_: kind(0)
    return memo_by_value.factory(problem)


@declared("changes-the-checks")
def changes_the_checks(problem):
    """Whatever is compared is right."""
    from harness.operators import checks
    from harness.records.accuracy import Accuracy

    checks.accuracy = checks.accuracy_of_rows = lambda *_: Accuracy(0.0, 0.0, 1)
    return wrong.factory(problem)


@declared("reads-the-answer")
def reads_the_answer(problem):
    """Looks for the expected output in files and in its own process."""
    from harness.operators.answer import Tensor

    def found():
        for folder in Path(tempfile.gettempdir()).glob("attention-harness*"):
            with contextlib.suppress(Exception):  # Others' folders come and go.
                for path in list(folder.iterdir()):
                    with contextlib.suppress(Exception):
                        yield from np.load(path).values()
        yield from (one.value for one in gc.get_objects() if type(one) is Tensor)

    def attention(q, k, v):
        for array in found():
            if array.shape == q.shape:
                return array.astype(np.float32)
        return np.zeros_like(q)

    return attention


HONEST = ("right", "memo-by-value", "memo-by-some-values")
REFUSED = {
    "wrong": "from the oracle",
    "memo-by-address": "not while it was timed",
    "memo-by-sums": "not while it was timed",
    "memo-from-the-third-call": "not while it was timed",
    "lazy": "Lazy, and should return numpy.ndarray",
    "lazy-subclass": "LazyArray, and should return numpy.ndarray",
    "writes-late": "from the oracle",
    "half-of-the-rows": "o changed after the call had returned",
    "returns-an-input": "not while it was timed",
    "honest-after-a-pause": "not while it was timed",
    "slows-the-clock": "it replaced time.perf_counter",
    "changes-the-loop": "it replaced harness.measure.fresh_call.FreshCall.next_call",
    "changes-the-random-numbers": "it replaced random.Random",
    "changes-the-checks": "from the oracle",
    "reads-the-answer": "from the oracle",
}
"""What the reason of each must say."""
