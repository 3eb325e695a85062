"""The key under which compiled kernels are cached: it changes with any source file of this package.

Numba compares the file of the function that it caches, not the files of the functions called from it. What a compiled
function closes over and the processor are part of its key too. Whether the system permits AMX is not.
"""

import hashlib
from functools import cache
from pathlib import Path

from .deferred_codegen import codegen
from .processor import amx

PACKAGE = Path(__file__).parents[1]


def hash_of_sources(folder: Path) -> bytes:
    """A hash of every Python file in a folder and its sub-folders, with the files' places."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        total.update(path.read_bytes())
    return total.digest()


@cache
def digest(name: str, folder: Path | None = None) -> int:
    """A hash of a function's name, of every source file of this package, and of what else changes its code.

    `folder` is that of a function outside the package, which uses it as a library.
    """
    total = hashlib.sha256(f"{name} {amx()} {codegen()}".encode())
    total.update(hash_of_sources(PACKAGE))
    if folder is not None and not folder.is_relative_to(PACKAGE):
        total.update(hash_of_sources(folder))
    return int.from_bytes(total.digest()[:7])
