"""The article's layer is an exhibit: found by its name, rejected by the suite, and never among those that are right."""

import importlib.util
import json

import pytest

from harness.plugins.registry import discover

PROBLEM = """
[tiny]
operator = "multi-head"
effort = { rounds = 2, min_rounds = 2, turn_s = 0.004, sample_s = 0.001, warmup_s = 0.004, cell_s = 0.02, budget_s = 5.0 }
problems = [{ heads = 2, length = 4, width = 8 }]
"""

needs_keras = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="the article's layer is Keras's")


def test_all_leaves_it_out():
    registry = discover().of("multi-head")
    assert "article" in registry.implementations
    assert "article" not in registry.select("all") and "keras-layer" in registry.select("all")
    assert registry.select("numpy,article") == ["numpy", "article"]


def test_it_is_listed_apart_and_marked(harness):
    entries = {entry["name"]: entry for entry in json.loads(harness("list", "--operator", "multi-head", "--json").stdout)}
    assert [name for name, entry in entries.items() if entry["wrong_on_purpose"]] == ["article"]
    printed = harness("list", "--operator", "multi-head").stdout
    right, mark, _ = printed.partition("wrong on purpose: ")
    assert mark and right.rfind("\narticle ") > right.rfind("\ntorch-module ")
    assert f" of {len(entries) - 1} can run here." in printed


@needs_keras
def test_check_rejects_it_and_names_the_mistake(harness):
    done = harness("check", "--impl", "article", "--case", "values", "--case", "cross/longer", "--case", "masks/padding")
    assert done.returncode == 1, done.stderr
    assert "out has the shape (18, 32), and should have (2, 9, 32)" in done.stdout
    assert "must have compatible batch dimensions: [18,4,8] vs. [26,4,8]" in done.stdout
    assert "expected to be a float tensor but is a bool tensor" in done.stdout
    assert "article: 0 passed" in done.stdout


@needs_keras
def test_its_gradients_are_judged_although_their_shape_is_not_that_of_out(harness):
    done = harness("check", "--impl", "article", "--case", "gradients/plain")
    assert done.returncode == 1
    finding = done.stdout.partition("gradients/plain, ")[2].partition("\n")[0]
    assert ": dw" in finding and " from the oracle, bound " in finding


@needs_keras
def test_a_run_does_not_time_it(harness):
    problems = harness.write("tiny.toml", PROBLEM)
    done = harness("run", "--impl", "article,numpy", "--problems", problems, "--out", "out")
    assert done.returncode == 1, done.stderr
    table = harness.results("out").set_index("implementation")
    assert table.status["article"] == "incorrect" and table.isna().median_s["article"]
    assert table.status["numpy"] == "ok" and table.median_s["numpy"] > 0
