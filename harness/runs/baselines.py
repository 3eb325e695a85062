"""Runs kept under a name, beside the runs of a folder: `baselines/NAME`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError
from harness.runs.folder import RunFolder

BASELINES = Path("baselines")
RUNS = Path("runs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def folder_of(named: Path) -> Path:
    """The folder of a run that is given by its folder, or by the name of a baseline."""
    kept = BASELINES / named
    return kept if not named.exists() and _NAME.fullmatch(str(named)) and kept.exists() else named


def save(name: str, source: Path) -> Path:
    """Keep a copy of a run. Raises `UserError` for a name that is taken, and for a folder that holds no run."""
    if not _NAME.fullmatch(name):
        raise UserError(f"a baseline is called by letters, digits, dots, dashes and underscores, not {name!r}")
    RunFolder.open(source)
    target = BASELINES / name
    if target.exists():
        raise UserError(f"{target} exists, and will not be overwritten; take another name, or remove it")
    try:
        shutil.copytree(source, target, ignore=_not_of_a_run)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise UserError(f"cannot keep {source} as {target}: {error.strerror or error}") from None
    return target


def _not_of_a_run(folder: str, names: list[str]) -> list[str]:
    """What no run has written: links to folders, which may lead back, and devices and pipes, which may have no end."""
    paths = [Path(folder, name) for name in names]
    return [path.name for path in paths if not (path.is_file() or (path.is_dir() and not path.is_symlink()))]


def kept() -> Iterator[tuple[str, str]]:
    """(name, machine) of every baseline."""
    for folder in sorted(BASELINES.iterdir()) if BASELINES.is_dir() else ():
        yield folder.name, RunFolder.open(folder).machine().name


def newest_run() -> Path:
    """The newest run in `runs/`. Raises `UserError` when there is none."""
    found = [path for path in RUNS.iterdir() if (path / "plan.json").exists()] if RUNS.is_dir() else []
    if not found:
        raise UserError(f"there is no run in {RUNS}/; name the folder of one")
    return max(found, key=lambda path: (path / "plan.json").stat().st_mtime)
