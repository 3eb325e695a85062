"""attention-harness, under the name that no other project has: its public API, its command and its pytest plug-in.

    from attention_harness import Problem, Supports, implementation

`harness` is where it all lies; another project may have a folder of that name, and then says so here.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

_PUBLIC = {
    "EVERYTHING": "harness.registry",
    "Differentiable": "harness.registry",
    "Implementation": "harness.registry",
    "Supports": "harness.registry",
    "implementation": "harness.registry",
    "Problem": "harness.problem",
}

__all__ = [*_PUBLIC, "ForeignHarness", "masks", "ours"]  # noqa: F822 - found by __getattr__

_BESIDE = Path(__file__).resolve().parents[1] / "harness" / "__init__.py"


class ForeignHarness(ImportError):
    """`import harness` finds another project's package; the message is one sentence for the user."""


def ours(module: str) -> ModuleType:
    """A module of the harness that lies beside this package. Raises `ForeignHarness` where `harness` is another."""
    spec = importlib.util.find_spec("harness")
    found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    if found != _BESIDE:
        where = found.parent if found else next(iter(spec.submodule_search_locations or ()), "?") if spec else "nowhere"
        raise ForeignHarness(
            f"another package called harness, {where}, stands in the way of attention-harness; "
            "run the command from another folder, or rename that one"
        )
    return importlib.import_module(module)


def __getattr__(name: str) -> Any:
    if name == "masks":
        return ours("harness.masks")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(ours(_PUBLIC[name]), name)
