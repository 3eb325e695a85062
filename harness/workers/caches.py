"""Where libraries keep what they compile, on machines where their usual places cannot be written: no home, a read-only
checkout, a user without a name."""

from __future__ import annotations

import functools
import os
import pwd
from pathlib import Path

from harness.workers import scratch

FOLDER = "attention-harness"

_SOURCES = Path(__file__).parents[2]


@functools.cache
def environment() -> dict[str, str]:
    """Variables for a worker; none where the usual places will do."""
    variables = {}
    place = _writable_place()
    if "NUMBA_CACHE_DIR" not in os.environ and not _all_writable(_SOURCES / "impls", _SOURCES / "harness"):
        variables["NUMBA_CACHE_DIR"] = str(place / "numba")
    if not _has_name():
        # getpass.getuser(3), which PyTorch's compiler asks for the name of its folder.
        variables |= {"USER": f"user-{os.getuid()}", "LOGNAME": f"user-{os.getuid()}"}
    if not _has_home():
        variables |= {
            "HOME": str(place),
            "MPLCONFIGDIR": str(place / "matplotlib"),
            "KERAS_HOME": str(place / "keras"),
        }
    return {name: value for name, value in variables.items() if name == "HOME" or name not in os.environ}


def _all_writable(*folders: Path) -> bool:
    return all(os.access(folder, os.W_OK) for folder in folders if folder.exists())


def _has_name() -> bool:
    if os.environ.get("USER") or os.environ.get("LOGNAME"):
        return True
    try:
        return bool(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return False


def _has_home() -> bool:
    try:
        return os.access(Path.home(), os.W_OK)
    except RuntimeError:
        return False


def _writable_place() -> Path:
    """The user's cache, or else a folder for temporary files that only this user can write."""
    for place in (os.environ.get("XDG_CACHE_HOME"), "~/.cache"):
        if place:
            try:
                path = Path(place).expanduser() / FOLDER
                path.mkdir(parents=True, exist_ok=True)
            except (OSError, RuntimeError):
                continue
            if os.access(path, os.W_OK):
                return path
    return scratch.of_user()
