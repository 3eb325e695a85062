"""Where a layer is: FILE:CLASS, or FILE:CLASS(ARGUMENTS) with names of a problem's sizes among the arguments."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError, unknown_name
from harness.plugins.origin import absolute

EXAMPLE = "my_file.py:MyLayer, or my_file.py:MyLayer(width, heads)"


@dataclass(frozen=True)
class Place:
    """A class in a file, and how it is made where that was typed."""

    path: Path
    name: str
    arguments: str | None = None
    """What was typed between the parentheses; None without them."""

    @classmethod
    def parse(cls, location: str) -> Place:
        """Of "FILE:CLASS". Raises `UserError` for anything else."""
        file, colon, layer = location.partition(".py:")
        name, bracket, rest = layer.strip().partition("(")
        if not colon or not name.isidentifier() or (bracket and not rest.endswith(")")):
            raise UserError(f'"{location}" does not say where a layer is; write {EXAMPLE}')
        place = cls(absolute(f"{file}.py"), name, rest[:-1] if bracket else None)
        if not place.path.is_file():
            raise UserError(
                f"{file}.py does not exist; --layer takes the path of a Python file and a class in it: {EXAMPLE}"
            )
        try:
            ast.parse(place.made_by, mode="eval")
        except SyntaxError:
            raise UserError(f'"{place.made_by}" is no call; write it as in {EXAMPLE}') from None
        return place

    @property
    def location(self) -> str:
        """As it is typed, with the whole path."""
        return f"{self.path}:{self.name if self.arguments is None else self.made_by}"

    @property
    def made_by(self) -> str:
        """The call that makes it, as far as it was typed."""
        return f"{self.name}({self.arguments or ''})"

    def load(self) -> type:
        """Import the file and return the class. Whatever it raises goes through."""
        name = f"harness_layer_{self.path.stem}_{zlib.crc32(os.fsencode(self.path)):08x}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(self.path.parent))  # It may import what lies beside it, as a script does.
        spec.loader.exec_module(module)
        found = getattr(module, self.name, None)
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        if not isinstance(found, type):
            raise UserError(unknown_name("class", self.name, classes, f"{self.path.name} has"))
        return found
