"""The machine that is recorded in a folder, of a run, of trainings or of a search."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from harness.records.files import read_whole, write_whole
from harness.records.machine import Machine
from harness.records.strict_json import dumps
from harness.records.typed import checked

ENVIRONMENT = "environment.json"


def machine_of(path: Path) -> Machine:
    """The machine and the versions as they were found; an empty one when that was never written, or is damaged."""
    try:
        return checked(Machine.from_json(json.loads(read_whole(path / ENVIRONMENT))))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return Machine()


def store_machine(path: Path, machine: Machine) -> None:
    """Record the machine of this session; that of each later session is kept beside the first.

    Raises `UserError` when it cannot be written.
    """
    first = machine_of(path)
    if first != Machine():
        machine = dataclasses.replace(first, resumed=(*first.resumed, machine))
    write_whole(path / ENVIRONMENT, dumps(machine.to_json(), indent=1) + "\n")
