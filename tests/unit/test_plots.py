"""Pictures of a run."""

import pytest

from harness.analysis.families import families
from harness.analysis.table import results
from harness.errors import UserError
from harness.problem import Problem
from harness.report.plots import plot
from tests.unit.factories import measured, memory, run

matplotlib = pytest.importorskip("matplotlib")


def posed(length, **fields):
    return Problem(q_heads=8, head_dim=64, q_len=length, **fields)


def made(*problems):
    """Two implementations on each."""
    cells = [
        measured(name, *[1e-6 * problem.kv_len] * 6, problem=problem, memory=memory(4 * problem.kv_len))
        for name in ("slow", "fast")
        for problem in problems
    ]
    some = run(cells, problems)
    return some, results(some)


def test_a_picture_is_drawn(tmp_path):
    plot(*made(posed(128), posed(256)), tmp_path / "plot.png")
    image = matplotlib.image.imread(tmp_path / "plot.png")
    assert image.shape[0] > 500
    assert len({tuple(pixel) for pixel in image[::7, ::7].reshape(-1, image.shape[2])}) > 5


def test_one_length_is_not_enough(tmp_path):
    with pytest.raises(UserError, match="at least two lengths"):
        plot(*made(posed(128), posed(256, causal="top-left")), tmp_path / "plot.png")


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "plot.png").write_text("mine")
    with pytest.raises(UserError, match="will not be overwritten"):
        plot(*made(posed(128), posed(256)), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_text() == "mine"


@pytest.mark.parametrize("name", ["plot.nonsense", "nowhere/plot.png"])
def test_what_cannot_be_written_is_said(tmp_path, name):
    with pytest.raises(UserError, match="cannot draw"):
        plot(*made(posed(128), posed(256)), tmp_path / name)


def named(problems):
    found = families([problem.posed("attention") for problem in problems])
    return [(family.along, [length for length, _ in family.members]) for family in found]


@pytest.mark.parametrize("field, value", [("bias", "normal-qk"), ("window", (8, 0)), ("softcap", 2.0), ("scale", 1.0)])
def test_what_differs_in_more_than_a_length_is_no_family(field, value):
    assert named([posed(128), posed(256, **{field: value})]) == []
    both = [posed(128), posed(128, **{field: value}), posed(256), posed(512), posed(256, **{field: value})]
    assert named(both) == [("q_len = kv_len", [128, 256, 512]), ("q_len = kv_len", [128, 256])]


def test_one_length_may_grow_beside_another_that_does_not():
    decoding = [posed(1, kv_len=keys) for keys in (1024, 256, 512)]
    assert named([*decoding, posed(256)]) == [("kv_len", [256, 512, 1024]), ("q_len", [1, 256])]
