"""How often a kernel is told from itself, and 2 % and 5 % more are seen: `python -m tests.benchmarks.twins 10`."""
