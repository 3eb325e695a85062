"""What a row says of how calls ran: caches, kernels, threads, settings."""

import pytest

from tests.system.conftest import PLUGINS, TINY_PROBLEMS, Harness

pytestmark = pytest.mark.xdist_group("execution")  # One process of pytest-xdist makes what the tests share.

PROBLEMS = f"""{TINY_PROBLEMS}
[[tiny.problems]]
heads = 1
q_len = 1
kv_len = 64
head_dim = 8
"""
PREFILL, DECODE = "b1h1q16k16d8-f32", "b1h1q1k64d8-f32"


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    found = Harness(tmp_path_factory.mktemp("execution"))
    found.write("both.toml", PROBLEMS)
    return found


@pytest.fixture(scope="module")
def results(harness):
    options = ["--plugin", PLUGINS / "tells.py", "--impl", "tells,numba-flash,numpy"]
    done = harness("run", *options, "--problems", "both.toml", "--threads", 1, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return harness.results("out"), done.stdout


def test_one_query_against_a_cache_is_measured_cold(results):
    table, printed = results
    assert table.loc["numpy", PREFILL].caches == "hot"
    assert table.loc["numpy", DECODE].caches == "cold"
    assert f"{DECODE}, from cold caches" in printed and f"{PREFILL}, from" not in printed


@pytest.mark.parametrize("cache", ["hot", "cold"])
def test_all_are_measured_as_the_option_says(harness, cache):
    done = harness("run", "--impl", "numpy", "--problems", "both.toml", "--cache", cache, "--out", cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(harness.results(cache).caches) == {cache}


def test_an_implementation_tells_what_it_ran(results):
    row = results[0].loc["tells", PREFILL]
    assert (row.kernels, row.computed_in) == ("slow path", "float16")
    assert {"fallback", "narrower"} <= set(row.notes.split())
    assert "fallback: it ran slow path, and nothing that is called fast" in row.warnings


def test_threads_and_settings_are_in_the_row(results):
    table, _ = results
    for name in ("numpy", "numba-flash"):
        assert table.loc[name, PREFILL].threads_used == 1
        assert 0 < table.loc[name, PREFILL].processors_busy <= 1.1
    assert "blas=" in table.loc["numpy", PREFILL].settings
    assert table.loc["numba-flash", PREFILL].kernels.startswith("numba-flash forward")
