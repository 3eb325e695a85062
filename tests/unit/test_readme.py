"""The figures of the README and of the pages are those of the committed runs."""

import ast
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_committed_run():
    block = runpy.run_path(str(ROOT / "results/update_readme.py"))["block"]()
    assert block in (ROOT / "README.md").read_text(), "run: python results/update_readme.py"


def test_the_kernels_ratios_are_those_of_the_committed_runs():
    for path, text in runpy.run_path(str(ROOT / "results/update_kernels.py"))["pages"]().items():
        assert path.read_text() == text, "run: python results/update_kernels.py"


def test_there_is_one_reading_order():
    modules = [module for _, module, _ in runpy.run_path(str(ROOT / "results/update_kernels.py"))["READING"]]
    docstring = ast.get_docstring(ast.parse((ROOT / "impls/attention/__init__.py").read_text()))
    order = docstring.partition("kernel: ")[2].partition(".")[0].split(", ")
    assert [module for module in modules if "/" not in module] == order


def test_the_page_on_conformance_shows_the_committed_measurements():
    page = (ROOT / "docs/conformance.md").read_text()
    written = runpy.run_path(str(ROOT / "results/update_conformance.py"))["page"](page)
    assert page == written, "run: python results/update_conformance.py"


def test_the_pictures_and_pages_it_names_exist():
    import re

    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"
