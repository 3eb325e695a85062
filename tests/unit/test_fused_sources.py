"""The cache key of the fused CPU kernels covers every source file of their package."""

import shutil
from pathlib import Path

from attention_harness.implementations.attention import numba_flash
from attention_harness.implementations.attention.numba_flash.runtime import sources
from attention_harness.implementations.attention.numba_flash.runtime.sources import PACKAGE, hash_of_sources


def test_the_hash_is_of_the_whole_package():
    assert Path(numba_flash.__file__).parent == PACKAGE


def test_every_source_file_changes_the_hash(tmp_path):
    """Also one in a sub-folder, which is new, edited, moved or gone."""
    folder = shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "of" / "its" / "own").mkdir(parents=True)
    seen = [hash_of_sources(folder)]
    added = folder / "of" / "its" / "own" / "kernel.py"
    added.write_text("x = 1\n")
    seen.append(hash_of_sources(folder))
    moved = added.rename(folder / "of" / "kernel.py")
    seen.append(hash_of_sources(folder))
    for path in sorted(folder.rglob("*.py")):
        path.write_text(path.read_text() + "# changed\n")
        seen.append(hash_of_sources(folder))
    assert len(set(seen)) == len(seen) > 3
    moved.unlink()
    assert hash_of_sources(folder) not in seen


def test_other_files_do_not(tmp_path):
    (tmp_path / "kernel.py").write_text("x = 1\n")
    before = hash_of_sources(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing that is compiled\n")
    assert hash_of_sources(tmp_path) == before


def test_the_key_of_a_kernel_follows_the_hash(tmp_path, monkeypatch):
    folder = shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "PACKAGE", folder)
    before = sources.digest.__wrapped__("task")
    kernel = next(folder.glob("*/*.py"))
    kernel.write_text(kernel.read_text() + "# changed\n")
    assert sources.digest.__wrapped__("task") != before
