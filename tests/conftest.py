"""What every test shares: the choice of implementations, the oracle's answers, and which tests are quick."""

import os
import tempfile
from pathlib import Path

import pytest

from harness.conformance import answers

_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_addoption(parser):
    parser.addoption("--impl", default="all", metavar="NAMES", help="implementations to test, separated by commas (all)")
    parser.addoption("--operator", metavar="NAME", help="what they implement (the first operator that has them all)")
    parser.addoption("--full", action="store_true", help="every conformance case, also where each shape is compiled")


def pytest_configure(config):
    config.addinivalue_line("markers", "compiles: a unit test that compiles kernels anew, which is not quick")
    if answers.VARIABLE not in os.environ:  # A process of pytest-xdist, or one that a test starts, inherits it.
        config.stash[_FOLDER] = folder = tempfile.TemporaryDirectory(prefix="attention-harness-answers-")
        os.environ[answers.VARIABLE] = folder.name


def pytest_unconfigure(config):
    if folder := config.stash.get(_FOLDER, None):
        del os.environ[answers.VARIABLE]
        folder.cleanup()


def pytest_collection_modifyitems(items):
    unit = Path(__file__).parent / "unit"
    for item in items:
        if unit in item.path.parents and not item.get_closest_marker("compiles"):
            item.add_marker(pytest.mark.quick)
