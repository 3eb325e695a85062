"""Compiled kernels are kept between processes, and forgotten when any file of this package changes.

Numba looks at the file of the function it keeps, not at those of the functions called from it; what a compiled function
closes over is part of its key as well, and so is the processor.
"""

import hashlib
from functools import cache
from pathlib import Path


@cache
def digest(name: str) -> int:
    """A hash of a function's name and of every source file of this package."""
    total = hashlib.sha256(name.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return int.from_bytes(total.digest()[:7])
