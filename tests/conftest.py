"""What every test shares: the choice of implementations, the oracle's answers, and which tests are quick."""

import os
import tempfile
from pathlib import Path

import pytest

from harness.conformance import answers

_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory]()

_THREADS = {
    # The processes of pytest-xdist and their workers share the cores: a thread that waits busily takes them from the others.
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_THREAD_TIMEOUT": "4",
    # The oracle's products are small. Workers are told how many threads they have.
    "OPENBLAS_NUM_THREADS": "1",
}
"""Variables that every process started by pytest finds, unless they are set."""


def pytest_addoption(parser):
    parser.addoption("--impl", default="all", metavar="NAMES", help="implementations to test, separated by commas (all)")
    parser.addoption("--operator", metavar="NAME", help="what they implement (the first operator that has them all)")
    parser.addoption("--full", action="store_true", help="every conformance case, also where each shape is compiled")


def pytest_configure(config):
    config.addinivalue_line("markers", "compiles: a unit test that compiles kernels anew, which is not quick")
    for name, value in _THREADS.items():
        os.environ.setdefault(name, value)
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
