"""A clock that stands still but for what work costs: what is timed by it takes as long on every machine."""

import random


class VirtualClock:
    """Each call of `work` takes a millisecond, give or take 5 %; reading the clock takes 50 ns."""

    def __init__(self, seed):
        self._now_s = 0.0
        self._draw = random.Random(seed)

    def __call__(self):
        self._now_s += 5e-8
        return self._now_s

    def work(self):
        self._now_s += 1e-3 * self._draw.gauss(1, 0.05)


CLOCK = VirtualClock(1)
