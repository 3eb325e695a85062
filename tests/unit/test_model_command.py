"""`harness model` where its extra is missing."""

import importlib.util

from harness.cli import main


def test_a_missing_extra_is_a_sentence(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "transformers" else found(name, *more)
    )
    assert main(["model", "--model", "tiny-bert", "--impl", "numpy"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "attention-harness[models]" in said
