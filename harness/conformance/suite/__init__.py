"""The suite as pytest runs it; see `harness.conformance.pytest_plugin`."""
