"""Flax is no framework of the harness; where it is missing, its implementation says so."""

import importlib.util

from harness.multi_head import MULTI_HEAD
from harness.plugins.contender import contenders
from harness.plugins.registry import discover


def test_missing_flax_is_a_reason(monkeypatch):
    registry = discover().of(MULTI_HEAD.name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flax" else "found")
    (contender,) = contenders(registry, ["flax-mha"], "cpu")
    assert contender.absent == "flax is not installed; install it with pip install 'attention-harness[flax]'"
