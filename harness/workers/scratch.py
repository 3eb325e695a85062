"""Folders for temporary files, one for each worker: removed with it, and after a kill when the next command begins."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from harness.workers import strays

_OF_A_WORKER = re.compile(r"\d+(\.\d+){3}")


SHARED_MEMORY = "/dev/shm"


def settle() -> None:
    """Have temporary files go to shared memory where no usual folder for them can be written, as in a container with a
    read-only root. Where that cannot be written either, what needs one raises `FileNotFoundError`."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        if os.access(SHARED_MEMORY, os.W_OK):
            tempfile.tempdir = os.environ["TMPDIR"] = SHARED_MEMORY


def place() -> Path:
    """The folder of this user among temporary files, whether it is there or not."""
    return Path(tempfile.gettempdir()) / f"attention-harness-{os.getuid()}"


def of_user() -> Path:
    """That folder, made if it is not there. Raises `OSError` where it cannot be made."""
    path = place()
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def environment(mark: str) -> dict[str, str]:
    """Variables that send a worker's temporary files into its own folder; none where there can be no such folder."""
    try:
        folder = of_user() / mark
        folder.mkdir(mode=0o700)
    except OSError:
        return {}
    # What PyTorch has compiled is kept among temporary files, and is meant to be found again.
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or str(of_user() / "torchinductor")
    return {"TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": compiled}


def remove(mark: str) -> None:
    """Remove a worker's folder."""
    shutil.rmtree(place() / mark, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of workers whose command was killed."""
    try:
        names = os.listdir(of_user())
    except OSError:
        return
    for name in names:
        if _OF_A_WORKER.fullmatch(name) and strays.is_gone(name):
            remove(name)
