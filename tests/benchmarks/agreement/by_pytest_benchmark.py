"""`pytest -p no:xdist --benchmark-json FILE` of this; KERNEL is NAME:LENGTH:THREADS, in the environment."""

import os

from tests.benchmarks.agreement.kernels import call_of


def test_kernel(benchmark):
    name, length, threads = os.environ["KERNEL"].split(":")
    benchmark(call_of(name, int(length), int(threads)))
