"""Implementations that fool a benchmark get no time, or none that their trick had a part in."""

import json
import re

import pytest

from tests.system.conftest import PLUGINS, ROOT, TINY_PROBLEMS, Harness
from tests.system.plugins.cheats import HONEST, REFUSED

pytestmark = pytest.mark.xdist_group("cheats")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The records of one run over all of them."""
    harness = Harness(tmp_path_factory.mktemp("cheats"))
    # Three processes, three calls that are verified: a cheat that works now and then is not lucky three times.
    text = TINY_PROBLEMS.replace("processes = 1", "processes = 3\nprecision = 1e-9").replace("length = 16", "length = 48")
    problems = harness.write("tiny.toml", text)
    names = ",".join([*HONEST, *REFUSED])
    harness("run", "--plugin", PLUGINS / "cheats.py", "--impl", names, "--problems", problems, "--out", "out")
    lines = [json.loads(line) for line in (harness.folder / "out/journal.jsonl").read_text().splitlines()]
    return {line["cell"]["implementation"]: line["cell"] for line in lines if "cell" in line}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_right_is_timed_and_its_trick_never_works(cells, name):
    assert cells[name]["status"] == "ok", cells[name]["reason"]
    assert "ANSWERED FROM MEMORY" not in cells[name]["printed"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_cheat_gets_no_time(cells, name):
    cell = cells[name]
    assert cell["status"] in ("incorrect", "error") and cell["timing"] is None
    assert REFUSED[name] in cell["reason"]


def test_the_page_names_them_all():
    page = (ROOT / "docs/measuring.md").read_text()
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert set(listed) == {*HONEST, *REFUSED} - {"right", "wrong"}
    assert f"\n{len(listed)} of {len(listed)} get no time" in page
