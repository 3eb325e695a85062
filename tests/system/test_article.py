"""The article's layer is found by its name, rejected by the suite, and never among those that are right."""

import importlib.util
import json
import re
from collections import Counter

import pytest

from docs.generate import article as page
from docs.generate.pages import between
from harness.conformance.cases import all_cases
from harness.plugins.registry import discover

PROBLEM = """
[tiny]
operator = "multi-head"
effort = { rounds = 2, min_rounds = 2, turn_s = 0.004, sample_s = 0.001, warmup_s = 0.004, cell_s = 0.02, budget_s = 5.0 }
problems = [{ heads = 2, length = 4, width = 8 }]
"""

pytestmark = pytest.mark.xdist_group("article")  # One process of pytest-xdist makes what the tests share.

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


@pytest.fixture(scope="module")
def rows():
    """What `check` says of the article's layer, case by case."""
    return page.checked(page.WRONG)


@needs_keras
def test_the_page_has_its_verdict_chapter_by_chapter(rows):
    head, alignment, *mine = page.chapters(rows).splitlines()
    lines = between(page.PAGE, "chapters").splitlines()
    assert lines[:2] == [head, alignment]
    without = [re.sub(r"^(\|[^|]*\|[^|]*\|)[^|]*", r"\1 – ", line) for line in lines[2:]]  # The right layer's counts.
    assert without == mine, "write the page anew: python -m docs.generate.article"


@needs_keras
def test_the_page_has_its_findings_by_kind_and_what_was_not_examined(rows):
    assert between(page.PAGE, "kinds of failures") == page.kinds(rows)
    assert between(page.PAGE, "not examined") == page.unsupported(rows)


def test_the_right_layer_beside_it_fails_nowhere_and_was_given_every_case():
    cases = Counter(case.chapter for case in all_cases(discover().of("multi-head").operator))
    for line in between(page.PAGE, "chapters").splitlines()[2:-1]:
        chapter, _, right = (cell.strip() for cell in line.split("|")[1:4])
        counts = {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", right)}
        assert counts.keys() <= {"passed", "unsupported"} and sum(counts.values()) == cases.pop(chapter)
    assert not cases
