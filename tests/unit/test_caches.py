"""Where libraries keep what they compile, for users without a home, a name, or a checkout that they can write."""

import os
import tempfile
from pathlib import Path

import pytest

from harness.workers import caches


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    caches.environment.cache_clear()
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    caches.environment.cache_clear()


def unwritable(monkeypatch, *folders):
    """Some folders cannot be written; access(2) says so of none to root."""
    access = os.access
    monkeypatch.setattr(
        caches.os, "access", lambda path, mode: not str(path).startswith(tuple(map(str, folders))) and access(path, mode)
    )


def test_nothing_is_set_where_the_usual_places_will_do():
    assert caches.environment() == {}


def test_compiled_kernels_go_to_the_cache_of_the_user_where_the_checkout_is_read_only(monkeypatch, tmp_path):
    unwritable(monkeypatch, Path(caches.__file__).parents[2])
    assert caches.environment() == {"NUMBA_CACHE_DIR": str(tmp_path / "cache" / "attention-harness" / "numba")}


def test_what_is_set_already_stands(monkeypatch):
    unwritable(monkeypatch, Path(caches.__file__).parents[2])
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    assert caches.environment() == {}


def test_a_user_without_a_home_gets_one_that_can_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    unwritable(monkeypatch, "/nowhere")
    monkeypatch.setattr(caches.Path, "mkdir", _refusing("/nowhere"))
    found = caches.environment()
    home = Path(found["HOME"])
    assert home.is_dir() and home.parent == tmp_path and found["MPLCONFIGDIR"].startswith(str(home))


def _refusing(start):
    mkdir = Path.mkdir

    def refusing(self, *arguments, **options):
        if str(self).startswith(start):
            raise PermissionError(13, "Permission denied", str(self))
        mkdir(self, *arguments, **options)

    return refusing


def test_a_user_without_a_name_gets_one(monkeypatch):
    monkeypatch.delenv("USER")
    monkeypatch.delenv("LOGNAME", raising=False)
    monkeypatch.setattr(caches.pwd, "getpwuid", _no_such_user)
    assert caches.environment()["USER"] == f"user-{os.getuid()}"


def _no_such_user(number):
    raise KeyError(number)
