"""`python -m tests.benchmarks.agreement.by_pyperf --output FILE`; KERNEL is NAME:LENGTH:THREADS, in the environment."""

import os

import pyperf

from tests.benchmarks.agreement.kernels import call_of

name, length, threads = os.environ["KERNEL"].split(":")
runner = pyperf.Runner(processes=3, values=10, warmups=3)
runner.parse_args()
runner.bench_func("kernel", call_of(name, int(length), int(threads)) if runner.args.worker else None)
