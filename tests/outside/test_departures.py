"""Declared departures excuse what fails, and nothing else."""

import pytest

from tests.outside.departures import declared, misnamed, settle

KNOWN = {"mine": {"gqa": "it tiles the key heads"}}


def test_what_is_declared_and_fails_is_excused_with_its_reason():
    with pytest.raises(pytest.xfail.Exception, match="it tiles the key heads"):
        settle("mine", "gqa", "o[0, 0, 0, 0] is wrong", KNOWN)


@pytest.mark.parametrize("implementation, case", [("mine", "causal"), ("another", "gqa")])
def test_nothing_else_is_excused(implementation, case):
    with pytest.raises(pytest.fail.Exception, match=r"o\[0, 0, 0, 0\] is wrong"):
        settle(implementation, case, "o[0, 0, 0, 0] is wrong", KNOWN)


def test_an_entry_whose_case_passes_is_a_failure():
    with pytest.raises(pytest.fail.Exception, match=r"mine passes gqa now; remove the entry gqa from .*/mine.toml"):
        settle("mine", "gqa", "", KNOWN)


def test_what_passes_undeclared_passes():
    settle("mine", "causal", "", KNOWN)


def test_entries_must_name_what_exists_and_why():
    departures = {"mine": {"gqa": "it tiles", "no-such-case": "a reason", "causal": " "}, "nobody": {}}
    found = misnamed(departures, {"mine": {"gqa", "causal"}})
    assert ["nobody.toml" in found[2], "no-such-case is no case" in found[0], "causal has no reason" in found[1]] == [
        True
    ] * 3
    assert not misnamed(KNOWN, {"mine": {"gqa"}})


def test_files_are_read(tmp_path):
    (tmp_path / "mine.toml").write_text('gqa = "it tiles the key heads"\n')
    assert declared(tmp_path) == KNOWN
    assert declared(tmp_path / "missing") == {}
