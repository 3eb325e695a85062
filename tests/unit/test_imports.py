"""The rooms of the harness know each other one way only: what is asked imports nothing of who asks."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = {"errors", "records", "workers", "frameworks", "operators", "plugins"}

ROOMS = {
    "errors": set(),
    "records": {"errors"},
    "workers": {"errors"},
    "frameworks": {"errors"},
    "operators": {"errors", "records", "frameworks"},
    "plugins": {"errors", "records", "workers", "frameworks", "operators"},
    "layers": ENGINE | {"masks"},
    "measure": ENGINE | {"analysis"},
    "conformance": ENGINE,
    "analysis": {"errors", "records"},
    "report": {"errors", "records", "analysis"},
    "data": {"errors", "records"},
    "models": ENGINE | {"measure", "data", "layers"},
    "runs": ENGINE | {"measure", "models", "analysis"},
    "tasks": ENGINE | {"data", "layers", "report"},
    "commands": ENGINE | {"measure", "conformance", "models", "analysis", "report", "runs", "data", "tasks"},
}
"""Each folder of `harness`, and the folders that it may import from."""

FILES = {
    "__main__": {"cli"},
    "cli": {"commands", "errors", "workers", ""},
    "masks": {"problem"},
    "multi_head": {"operators"},
    "problem": {"operators"},
    "registry": {"operators", "plugins", "frameworks"},
}
"""The files at the top of `harness`, likewise; `problem`, `multi_head`, `registry` and `masks` are what plug-ins import."""

FRAMEWORKS = {
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "jaxlib",
    "onnxruntime",
    "onnx",
    "openvino",
    "numba",
    "llvmlite",
    "triton",
    "transformers",
}

DEFAULT_OPERATOR = {
    "plugins/contender.py", "plugins/implementation.py", "plugins/registry.py", "runs/presets/__init__.py", "runs/old.py",
    "conformance/suite/examine.py",
}  # fmt: skip
"""Where attention is what is meant unless another operator is named. Nothing else outside `operators` knows it."""


def imports(path, package):
    """(module, line) of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((f"{module}.{name.name}", node.lineno) for name in node.names)


def files(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, list(path.relative_to(ROOT).parts[:-1])


HARNESS = list(files("harness"))


def test_every_room_has_its_place():
    found = {path.relative_to(ROOT / "harness").parts[0] for path, _ in HARNESS}
    assert found - {"__init__.py"} == set(ROOMS) | {f"{name}.py" for name in FILES}


def test_no_arrow_points_up():
    assert list(TopologicalSorter(ROOMS).static_order()), "the rooms themselves go in a circle"


@pytest.mark.parametrize("path, package", HARNESS, ids=[str(path.relative_to(ROOT)) for path, _ in HARNESS])
def test_a_file_imports_only_from_rooms_that_its_own_may_know(path, package):
    own = package[1] if len(package) > 1 else path.stem
    allowed = {own} | (ROOMS[own] if len(package) > 1 else FILES.get(own, set()))
    for module, line in imports(path, package):
        parts = module.split(".")
        if parts[0] == "harness":
            room = parts[1] if len(parts) > 1 else ""
            assert room in allowed, f"{path.name}, line {line}: {own} may not import {module}"
        assert parts[0] not in ("impls", "tests", "docs"), f"{path.name}, line {line}: {module}"


@pytest.mark.parametrize("path, package", HARNESS, ids=[str(path.relative_to(ROOT)) for path, _ in HARNESS])
def test_frameworks_are_imported_by_their_adapters_only(path, package):
    foreign = {module.split(".")[0] for module, _ in imports(path, package)} & FRAMEWORKS
    assert not foreign or package[1:2] in (["frameworks"], ["layers"], ["models"]) or package[2:3] == ["worker"], (
        f"{path.name} imports {foreign}"
    )


def test_only_what_has_a_default_knows_an_operator_by_name():
    knowing = {
        path.relative_to(ROOT / "harness").as_posix()
        for path, package in HARNESS
        for module, _ in imports(path, package)
        if module.startswith("harness.operators.attention")
        and package[1:2] not in ([], ["operators"], ["layers"], ["models"], ["tasks"])
    }
    assert knowing == DEFAULT_OPERATOR
    general = [path for path, package in HARNESS if package == ["harness", "operators"] or "diagnosis" in package[2:3]]
    for path in general:
        known = [m for m, _ in imports(path, ["harness"]) if m.startswith("harness.operators.attention")]
        assert not known or path.is_relative_to(ROOT / "harness" / "operators" / "multi_head"), path


@pytest.mark.parametrize("path, package", list(files("impls")), ids=[str(p.relative_to(ROOT)) for p, _ in files("impls")])
def test_implementations_know_the_public_api_only(path, package):
    public = {"harness.registry", "harness.problem", "harness.multi_head", "harness.masks", "harness.layers"}
    for module, line in imports(path, package):
        if module.split(".")[0] == "harness":
            assert ".".join(module.split(".")[:2]) in public, f"{path.name}, line {line}: {module}"
        # They are imported under another name than that of their folder.
        assert not module.startswith("impls.") or any(
            isinstance(node, ast.ImportFrom) and node.level and node.lineno == line
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        ), f"{path.name}, line {line}: {module} must be imported from where it lies, as `from .module import`"
