"""The journal of a run: a line for each thing that was found out, flushed as it is written. Every table is derived from it.

A line is an object with one key beside its checksum, the kind of the line: "machine", "cell", "memory", "generation",
"answers" or "warning". Readers leave out kinds that they do not know. A damaged line is lost, and no other: what it held is
measured again.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError, describe
from harness.records.cell import Cell, Memory
from harness.records.files import read_whole
from harness.records.generation import Generation
from harness.records.lines import DamagedError, opened, sealed
from harness.records.machine import Machine
from harness.records.real_answers import RealAnswers
from harness.records.typed import checked

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Brings a line of an earlier version into the present form."""


class Journal:
    """What is in the file, read when it is opened, and what is added to it."""

    def __init__(self, path: Path, lines: Sequence[bytes] = (), upgrade: Upgrade = lambda line: line):
        self.path = path
        self.machines: list[Machine] = []
        """Of each session, where they were written down."""
        self.damage: list[str] = []
        """What was lost: a sentence for each damaged line."""
        self._cells: dict[tuple[str, str], Cell] = {}
        for number, line in enumerate(lines, 1):
            try:
                self._take(upgrade(opened(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number == len(lines) and not line.endswith(b"\n"):
                    continue  # Cut off by a kill: it was never finished.
                why = str(error) if isinstance(error, DamagedError) else f"it is not of this version: {describe(error)}"
                self.damage.append(f"{path}, line {number}, is lost: {why}")

    @property
    def cells(self) -> list[Cell]:
        """Every finished cell, in the order of measurement, with its memory where that is known."""
        return list(self._cells.values())

    def add_machine(self, machine: Machine) -> None:
        """Append the machine of a session. Each `add_…` raises `UserError` when it cannot be written."""
        self._append({"machine": machine.to_json()})

    def add_cell(self, cell: Cell) -> None:
        """Append a finished cell and have it reach the disk."""
        self._append({"cell": cell.to_json()})

    def add_memory(self, cell: Cell, memory: Memory) -> None:
        """Append the memory of a cell that is in the journal already."""
        self._append({"memory": {**_key(cell), **dataclasses.asdict(memory)}})

    def add_generation(self, cell: Cell, generation: Generation) -> None:
        """Append what a cell that is in the journal already generated."""
        self._append({"generation": {**_key(cell), **dataclasses.asdict(generation)}})

    def add_answers(self, cell: Cell, answers: RealAnswers) -> None:
        """Append what the model of a cell that is in the journal already answers."""
        self._append({"answers": {**_key(cell), **dataclasses.asdict(answers)}})

    def add_warning(self, cell: Cell, warning: str) -> None:
        """Append a warning to a cell that is in the journal already."""
        self._append({"warning": {**_key(cell), "warning": warning}})

    def mend(self) -> None:
        """Cut off a last line that a kill left half-written, so that what follows it is readable."""
        try:
            data = read_whole(self.path)
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                with self.path.open("rb+") as file:
                    file.truncate(whole)
        except OSError as error:
            raise UserError(f"cannot mend {self.path}: {error.strerror}") from None

    def _take(self, line: Mapping[str, Any]) -> None:
        if not line:
            raise ValueError("it is empty")
        for kind, data in line.items():
            if taken := self._TAKEN.get(kind):
                taken(self, data)

    def _take_machine(self, data: Mapping[str, Any]) -> None:
        self.machines.append(checked(Machine.from_json(data)))

    def _take_cell(self, data: Mapping[str, Any]) -> None:
        cell = checked(Cell.from_json(data))
        self._cells[cell.key] = cell

    def _take_memory(self, data: Mapping[str, Any]) -> None:
        self._change(data, memory=Memory(**_found(data)))

    def _take_generation(self, data: Mapping[str, Any]) -> None:
        self._change(data, generation=Generation.from_json(_found(data)))

    def _take_answers(self, data: Mapping[str, Any]) -> None:
        self._change(data, answers=RealAnswers.from_json(_found(data)))

    def _take_warning(self, data: Mapping[str, Any]) -> None:
        cell = self._cells[data["implementation"], data["problem"]]
        self._change(data, warnings=(*cell.warnings, data["warning"]))

    def _change(self, data: Mapping[str, Any], **changes: Any) -> None:
        key = data["implementation"], data["problem"]
        self._cells[key] = checked(dataclasses.replace(self._cells[key], **changes))

    _TAKEN: dict[str, Callable[[Journal, Any], None]] = {  # noqa: RUF012 - a table of methods
        "machine": _take_machine,
        "cell": _take_cell,
        "memory": _take_memory,
        "generation": _take_generation,
        "answers": _take_answers,
        "warning": _take_warning,
    }

    def _append(self, line: dict[str, Any]) -> None:
        text = sealed(line)
        try:
            with self.path.open("rb+") as file:
                file.seek(0, os.SEEK_END)
                end = file.tell()
                try:
                    file.write(text.encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)  # Half a record helps nobody, and the lines before it stay readable.
                    raise
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}; what was measured before is kept, "
                f"and `python -m harness run --resume {shlex.quote(str(self.path.parent))}` goes on from there"
            ) from None
        self._take(opened(text.encode()))


def _key(cell: Cell) -> dict[str, str]:
    return {"implementation": cell.implementation, "problem": cell.problem.name}


def _found(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says of a cell, without what says of which."""
    return {name: value for name, value in data.items() if name not in ("implementation", "problem")}


def read(path: Path, upgrade: Upgrade) -> Journal:
    """The journal in a file. Raises `UserError` where it cannot be read at all."""
    try:
        return Journal(path, read_whole(path).splitlines(keepends=True), upgrade)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
