"""The same kernels by the harness, by pyperf and by pytest-benchmark: `python -m tests.benchmarks.agreement 5`."""
