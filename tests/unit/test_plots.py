"""Pictures of a run."""

import pandas as pd
import pytest

from harness.errors import UserError
from harness.report.plots import plot

matplotlib = pytest.importorskip("matplotlib")


def rows(lengths, **fields):
    """Measured rows as the results table holds them."""
    return [
        {
            "implementation": name, "batch": 1, "q_heads": 8, "kv_heads": 8, "head_dim": 64, "v_head_dim": 64,
            "dtype": "float32", "causal": None, "mask": None, "direction": "forward", "status": "ok", "threads": 2,
            "q_len": n, "kv_len": n, "median_s": 1e-6 * n, "ci_low_s": 0.9e-6 * n, "ci_high_s": 1.1e-6 * n,
            "workspace_bytes": 4.0 * n, **fields,
        }
        for name in ("slow", "fast")
        for n in lengths
    ]  # fmt: skip


def test_a_picture_is_drawn(tmp_path):
    plot(pd.DataFrame(rows([128, 256])), tmp_path / "plot.png")
    image = matplotlib.image.imread(tmp_path / "plot.png")
    assert image.shape[0] > 500
    assert len({tuple(pixel) for pixel in image[::7, ::7].reshape(-1, image.shape[2])}) > 5


def test_one_length_is_not_enough(tmp_path):
    with pytest.raises(UserError, match="at least two lengths"):
        plot(pd.DataFrame(rows([128]) + rows([256], causal="top-left")), tmp_path / "plot.png")


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "plot.png").write_text("mine")
    with pytest.raises(UserError, match="will not be overwritten"):
        plot(pd.DataFrame(rows([128, 256])), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_text() == "mine"


@pytest.mark.parametrize("name", ["plot.nonsense", "nowhere/plot.png"])
def test_what_cannot_be_written_is_said(tmp_path, name):
    with pytest.raises(UserError, match="cannot draw"):
        plot(pd.DataFrame(rows([128, 256])), tmp_path / name)
