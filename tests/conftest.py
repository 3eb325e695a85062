"""What every test shares: the `--impl` option, and a folder for numba's cache that the checkout need not be writable for."""


def pytest_addoption(parser):
    parser.addoption("--impl", default="all", metavar="NAMES", help="implementations to test, separated by commas (all)")
    parser.addoption("--full", action="store_true", help="every conformance case, also where each shape is compiled")
