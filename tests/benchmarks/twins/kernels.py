"""numba-flash under three names, and with 2 % and 5 % more time: the plug-in that the experiment measures."""

import time

from harness.registry import Supports, implementation
from impls.attention import numba_flash as kernel

SUPPORTS = Supports(dtypes=("float32",))


def same(name):
    @implementation(name, framework="numba", supports=SUPPORTS)
    def twin(problem):
        """The kernel as it is."""
        return kernel.numba_flash.factory(problem)

    return twin


def longer(name, share):
    @implementation(name, framework="numba", supports=SUPPORTS)
    def slower(problem):
        """The kernel, and then a pause that is a share of its time."""
        attention, clock = kernel.numba_flash.factory(problem), time.perf_counter

        def paused(q, k, v):
            start = clock()
            o = attention(q, k, v)
            end = start + (1 + share) * (clock() - start)
            while clock() < end:
                pass
            return o

        return paused

    return slower


TWIN_A, TWIN_B, TWIN_C = map(same, ("twin-a", "twin-b", "twin-c"))
MORE_2, MORE_5 = longer("more-2", 0.02), longer("more-5", 0.05)
