"""Where a plug-in lies, and how it is imported from there."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from harness.errors import UserError

BUILT_IN = "attention_harness.implementations"
"""What the folder `impls` beside this package is imported as."""

BUILT_IN_KIND = "built-in"

FILES = ("file", "layer")
"""Kinds of origins that are a file of the user's."""

FOREIGN = "harness.plugins.foreign"
"""What imports plug-ins of others, in a process of their own; by name, as that process finds plug-ins too."""

LAYERS = "harness.layers.own"
"""What makes an implementation of a layer of Keras or PyTorch; by name, as it is no part of what finds plug-ins."""

MODELS = "harness.models.derived"
"""What makes implementations of models; by name, likewise."""


def absolute(typed: str) -> Path:
    """The absolute path of a file that was typed, also where there is none: nobody's home, or links in a circle."""
    return Path(os.path.realpath(os.path.expanduser(typed)))


@dataclass(frozen=True)
class Origin:
    """Where an implementation was found, so that a worker process can find it again."""

    kind: str
    """"built-in" (a module in the folder `impls` beside this package), "module" (an importable name), "file" (a path),
    "layer" (FILE:CLASS, a layer of Keras or PyTorch) or "model" (KIND:LOCATION of what is inside a model)."""
    location: str

    @property
    def inner(self) -> Origin:
        """Where what is inside a model was found; of any other, itself."""
        kind, _, location = self.location.partition(":")
        return Origin(kind, location) if self.kind == "model" and location else self

    @property
    def file(self) -> str:
        """The path of a file; of a layer without its class."""
        return f"{self.location.partition('.py:')[0]}.py" if self.kind == "layer" else self.location

    def load(self) -> ModuleType:
        """Import the plug-in. Whatever it raises goes through."""
        if self.kind == "built-in":
            return importlib.import_module(f"{BUILT_IN}.{self.location}")
        if self.kind == "module":
            return importlib.import_module(self.location)
        if self.kind == "model":
            return importlib.import_module(MODELS).load(self.location)
        if self.kind == "layer":
            return importlib.import_module(LAYERS).load(self.location)
        path = Path(self.location)
        # The same name in every process, by which they know each other's classes.
        name = f"harness_plugin_{path.stem}_{zlib.crc32(os.fsencode(path)):08x}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise UserError(f"{path} is not a Python file; a plug-in is a .py file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Dataclasses and pickles in the plug-in look themselves up here.
        spec.loader.exec_module(module)
        return module


NOWHERE = Origin("module", "")
"""Of an implementation that no plug-in was asked for yet."""
