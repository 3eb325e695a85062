"""The memory column, by what theory says of it: a score matrix for the formula, tiles for the fused kernels."""

import pytest

pytestmark = pytest.mark.xdist_group("memory")  # One process of pytest-xdist makes what the tests share.

PROBLEMS = """
[memory]
effort = { rounds = 1, min_rounds = 1, turn_s = 0.001, sample_s = 0.001, warmup_s = 0.001, cell_s = 0.001, budget_s = 600 }
[[memory.problems]]
heads = 1
length = [1024, 2048, 4096]
head_dim = 64
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Workspace by (implementation, length), in bytes."""
    from tests.system.conftest import Harness

    harness = Harness(tmp_path_factory.mktemp("memory"))
    problems = harness.write("memory.toml", PROBLEMS)
    done = harness("run", "--impl", "numpy,numpy-online,numba-flash", "--problems", problems, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = harness.results("out")
    return {(row.implementation, row.q_len): row.workspace_bytes for row in table.itertuples()}


def test_numpy_keeps_one_score_matrix(workspace):
    assert workspace["numpy", 2048] == pytest.approx(2048 * 2048 * 4, rel=0.1)


def test_numpy_grows_as_the_square_of_the_length(workspace):
    assert workspace["numpy", 4096] / workspace["numpy", 2048] == pytest.approx(4, rel=0.1)
    assert workspace["numpy", 2048] / workspace["numpy", 1024] == pytest.approx(4, rel=0.1)


def test_the_online_softmax_grows_as_the_length(workspace):
    assert workspace["numpy-online", 4096] / workspace["numpy-online", 2048] == pytest.approx(2, rel=0.2)


def test_the_fused_kernel_needs_a_few_tiles(workspace):
    assert max(workspace["numba-flash", length] for length in (1024, 2048, 4096)) < 2**19
