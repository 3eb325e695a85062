"""Compiled kernels are kept between processes, and forgotten when any file of this package changes.

Numba looks at the file of the function it keeps, not at those of the functions called from it; what a compiled function
closes over is part of its key as well, and so is the processor. Whether the system lets it use its tiles is not.
"""

import hashlib
from functools import cache
from pathlib import Path

from .processor import tiles


@cache
def digest(name: str) -> int:
    """A hash of a function's name, of every source file of this package, and of who multiplies matrix tiles."""
    total = hashlib.sha256(f"{name} {tiles()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return int.from_bytes(total.digest()[:7])
