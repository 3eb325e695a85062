"""The suite as pytest runs it; see `attention_harness.pytest_plugin`."""
