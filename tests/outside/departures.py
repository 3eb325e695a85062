"""Cases of the outside world that an implementation is known to fail: `departures/NAME.toml`, a case's name and the reason.

test_attention_4d_softcap = "the library applies the softcap after the mask"
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "departures"

Departures = Mapping[str, Mapping[str, str]]
"""{implementation: {case: reason}}"""


def declared(folder: Path = FOLDER) -> Departures:
    """What the files of a folder declare; nothing where there are none."""
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))}


def settle(implementation: str, case: str, wrong: str, departures: Departures) -> None:
    """End a test: a failure fails it unless it is declared, and a declaration fails it once there is no failure."""
    __tracebackhide__ = True
    reason = departures.get(implementation, {}).get(case)
    if reason is None:
        if wrong:
            pytest.fail(f"{implementation}, {case}: {wrong}", pytrace=False)
        return
    if not wrong:
        entry = f"the entry {case} from tests/outside/departures/{implementation}.toml"
        pytest.fail(f"{implementation} passes {case} now; remove {entry} ({reason})", pytrace=False)
    pytest.xfail(f"{implementation}: {reason}")


def misnamed(departures: Departures, examined: Mapping[str, Collection[str]]) -> list[str]:
    """A sentence for each entry that nothing would ever test: `examined` holds the cases of every implementation."""
    found = []
    for implementation, entries in departures.items():
        if implementation not in examined:
            found.append(f"departures/{implementation}.toml: no implementation is called so")
            continue
        for case, reason in entries.items():
            if case not in examined[implementation]:
                found.append(f"departures/{implementation}.toml: {case} is no case that it supports; remove the entry")
            if not reason.strip():
                found.append(f"departures/{implementation}.toml: {case} has no reason")
    return found
