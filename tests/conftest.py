"""What every test shares: the choice of implementations, and which tests are quick."""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--impl", default="all", metavar="NAMES", help="implementations to test, separated by commas (all)")
    parser.addoption("--operator", metavar="NAME", help="what they implement (the first operator that has them all)")
    parser.addoption("--full", action="store_true", help="every conformance case, also where each shape is compiled")


def pytest_configure(config):
    config.addinivalue_line("markers", "compiles: a unit test that compiles kernels anew, which is not quick")


def pytest_collection_modifyitems(items):
    unit = Path(__file__).parent / "unit"
    for item in items:
        if unit in item.path.parents and not item.get_closest_marker("compiles"):
            item.add_marker(pytest.mark.quick)
