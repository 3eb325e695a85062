"""The figures of the README and of the pages are those of the committed runs."""

import ast
import re

import pytest

from docs.generate import conformance, experiments, kernels, models, readme, tasks
from docs.generate.pages import ROOT


@pytest.mark.parametrize(
    "program", [readme, kernels, conformance, experiments, models, tasks], ids=lambda program: program.__name__
)
def test_pages_show_the_committed_measurements(program):
    for page, text in program.pages().items():
        assert page.read_text() == text, f"run: python -m {program.__name__}"


def test_there_is_one_reading_order():
    modules = [module for _, module, _ in kernels.READING]
    docstring = ast.get_docstring(ast.parse((ROOT / "impls/attention/__init__.py").read_text()))
    order = docstring.partition("kernel: ")[2].partition(".")[0].split(", ")
    assert [module for module in modules if "/" not in module] == order


def test_the_pictures_and_pages_it_names_exist():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"
