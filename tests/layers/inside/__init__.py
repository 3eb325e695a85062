"""Tests that import a framework. `tests.layers.test_in_frameworks` runs each folder in a process of its own."""
