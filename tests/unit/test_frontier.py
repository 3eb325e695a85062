"""The largest length that fits: found by doubling and bisection, to a sixteenth."""

import pytest

from harness.measure.frontier import RESOLUTION, Trial, of_length, search
from harness.multi_head import MULTI_HEAD
from harness.problem import Problem


@pytest.mark.parametrize("most", [16, 17, 100, 1000, 123_456])
def test_the_largest_that_fits_is_found_to_a_sixteenth(most):
    tried = []

    def fits(length):
        tried.append(length)
        return Trial(length, 1e-3 * length) if length <= most else Trial(length, None, "too long")

    found = search("a", fits, longest=2**20)
    assert found.largest.length <= most < found.beyond.length
    assert found.beyond.length - found.largest.length <= max(1, found.largest.length // RESOLUTION)
    assert len(tried) == len(set(tried)) < 40


def test_what_never_fits_and_what_always_does():
    never = search("a", lambda n: Trial(n, None, "unsupported"), longest=1024)
    assert never.largest is None and never.beyond.reason == "unsupported"
    always = search("a", lambda n: Trial(n, 1.0), longest=1000)
    assert always.largest.length == 1000 and always.beyond is None


def test_every_length_grows_that_is_as_large_as_the_largest():
    assert of_length(Problem(q_len=8, kv_len=8, head_dim=4), 64).fields["kv_len"] == 64
    decode = of_length(Problem(q_len=1, kv_len=8, head_dim=4), 64)
    assert (decode.q_len, decode.kv_len) == (1, 64)
    layer = MULTI_HEAD.problem(q_heads=2, kv_heads=2, q_len=8, width=8, head_dim=4)
    assert of_length(layer, 64).q_len == 64
