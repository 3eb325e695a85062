"""The folders of the fused CPU kernels import each other in one direction only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "impls" / "attention" / "numba_flash"
ORDER = ("runtime", "simd", "layout", "scores", "passes")
"""From the bottom up: a module may import from its own folder and from those before it."""

FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imported_places(code, file):
    """The places in the package that a file's code imports from, as paths: ("simd", "vectors") or ("layout", "plan")."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = file.parent.parts[: len(file.parent.parts) - node.level + 1]
            if node.module:
                yield (*above, *node.module.split("."))
            else:
                yield from ((*above, alias.name) for alias in node.names)


def arrows_up(code, file):
    """The places that a file imports from although they are above it, or at the top of the package."""
    level = ORDER.index(file.parts[0])
    return [place for place in imported_places(code, file) if place[0] not in ORDER[: level + 1]]


def absolute_imports(code):
    """The imports of this repository's implementations by their full name."""
    for node in ast.walk(ast.parse(code)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module]
        yield from (module for module in modules if module.partition(".")[0] == "impls")


def test_every_file_but_the_declaration_and_the_arrays_lies_in_a_folder():
    assert {file.parts[0] for file in FILES} == {"__init__.py", "attention.py", *ORDER}


@pytest.mark.parametrize("file", [file for file in FILES if file.parts[0] in ORDER], ids=str)
def test_no_arrow_points_up(file):
    assert arrows_up((PACKAGE / file).read_text(), file) == []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_within_the_package_are_relative(file):
    """The harness loads the package under another name, and an absolute import would load it a second time."""
    assert list(absolute_imports((PACKAGE / file).read_text())) == []


@pytest.mark.parametrize(
    "code, found",
    [
        ("from ..passes.forward import forward", [("passes", "forward")]),
        ("from ..scores import bias", [("scores",)]),
        ("from .. import attention", [("attention",)]),
        ("from ..attention import Fused", [("attention",)]),
        ("def late():\n    from ..passes import forward", [("passes",)]),
        ("from .sizes import CHUNK\nfrom . import plan\nfrom ..simd.vectors import simd\nimport numpy", []),
    ],
)
def test_arrows_that_point_up_are_seen(code, found):
    assert arrows_up(code, Path("layout/packing.py")) == found
