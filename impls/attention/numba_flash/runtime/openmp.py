"""PyTorch's own threads, where PyTorch is in the process: those of the OpenMP runtime that it brings along.

Numba's threads belong to a runtime of their own, and those of both wait busily for a while after their work (GNU's for some
300,000 turns), on the processors that the other's threads need. A model calls one after the other, layer by layer.

GOMP_parallel: GNU libgomp's manual, "Implementing PARALLEL construct".
"""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple


class OpenMP(NamedTuple):
    """Addresses of functions: `void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags)`,
    `int omp_get_thread_num(void)` and `int omp_get_num_threads(void)`."""

    parallel: int
    thread_num: int
    num_threads: int


def of_pytorch() -> OpenMP | None:
    """PyTorch's runtime; None where PyTorch has not been imported, or brings another one than GNU's."""
    torch = sys.modules.get("torch")
    return _found(torch.__file__) if torch is not None and getattr(torch, "__file__", None) else None


@cache
def _found(torch_file: str) -> OpenMP | None:
    libraries = of_libraries()
    home = str(Path(torch_file).parents[1])
    ours = [path for path in libraries if path.startswith(home)] or libraries
    if len(ours) != 1:
        return None
    library = ctypes.CDLL(ours[0])
    try:
        functions = (library.GOMP_parallel, library.omp_get_thread_num, library.omp_get_num_threads)
    except AttributeError:
        return None
    return OpenMP(*(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions))


def of_libraries() -> list[str]:
    """The paths of every libgomp in this process, as Linux lists them."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    paths = (line.split(maxsplit=5)[-1] for line in lines if "/libgomp" in line)
    return list(dict.fromkeys(paths))
