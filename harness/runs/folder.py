"""A run's folder. The journal is the truth, flushed line by line; every table is derived from it.

plan.json · environment.json · journal.jsonl · samples.csv · results.csv · report.md
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from harness.measure.plan import Plan
from harness.records.cell import Cell, Memory
from harness.errors import UserError, Status


class RunFolder:
    """One run on disk. Make a new one with `create`, find one again with `open`."""

    def __init__(self, path: Path, plan: Plan):
        self.path = path
        self.plan = plan

    @classmethod
    def create(cls, path: Path, plan: Plan) -> RunFolder:
        """Start a run in a folder that does not exist or is empty. Raises `UserError` for any other."""
        try:
            if path.is_dir() and any(path.iterdir()):
                hint = f"; to go on with the run in it: python -m harness run --resume {path}"
                held = hint if (path / "plan.json").exists() else "; name another folder"
                raise UserError(f"{path} is not empty, and nothing in it will be overwritten{held}")
            path.mkdir(parents=True, exist_ok=True)
            _write_json(path / "plan.json", plan.to_json())
            (path / "journal.jsonl").touch()
        except OSError as error:
            raise UserError(f"cannot write the run's folder {path}: {error.strerror}") from None
        return cls(path, plan)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in a folder. Raises `UserError` when there is none that can be read."""
        try:
            plan = Plan.from_json(json.loads((path / "plan.json").read_text()))
        except OSError as error:
            raise UserError(f"{path} holds no run: plan.json: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}/plan.json is not a plan of this version: {error}") from None
        return cls(path, plan)

    # --- the journal ---------------------------------------------------------------------------------

    def add_cell(self, cell: Cell) -> None:
        """Append a finished cell and have it reach the disk. Raises `UserError` when it cannot."""
        self._append({"cell": cell.to_json()})

    def add_memory(self, cell: Cell, memory: Memory) -> None:
        """Append the memory of a cell that is in the journal already."""
        key = {"implementation": cell.implementation, "problem": cell.problem}
        self._append({"memory": {**key, **dataclasses.asdict(memory)}})

    def add_warning(self, cell: Cell, warning: str) -> None:
        """Append a warning to a cell that is in the journal already."""
        self._append({"warning": {"implementation": cell.implementation, "problem": cell.problem, "warning": warning}})

    def cells(self) -> list[Cell]:
        """Every finished cell, in the order of measurement, with its memory where that is known.

        A last line that was cut off by a kill is left out; any other damage raises `UserError`.
        """
        found: dict[tuple[str, str], Cell] = {}
        for number, entry in enumerate(self._entries(), 1):
            try:
                if "cell" in entry:
                    cell = Cell.from_json(entry["cell"])
                    found[cell.implementation, cell.problem] = cell
                elif "memory" in entry:
                    values = dict(entry["memory"])
                    key = values.pop("implementation"), values.pop("problem")
                    found[key] = dataclasses.replace(found[key], memory=Memory(**values))
                else:
                    values = entry["warning"]
                    key = values["implementation"], values["problem"]
                    found[key] = dataclasses.replace(found[key], warnings=(*found[key].warnings, values["warning"]))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self.journal}, line {number}, is not a record of this version: {error}") from None
        return list(found.values())

    def measured(self) -> bool:
        """Whether every cell of the plan is in the journal."""
        return len(self.cells()) == len(self.plan.problems) * len(self.plan.contenders)

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            with self.journal.open("rb+") as file:
                file.seek(0, os.SEEK_END)
                end = file.tell()
                try:
                    file.write(json.dumps(entry).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)  # Half a record helps nobody, and the lines before it stay readable.
                    raise
        except OSError as error:
            raise UserError(
                f"cannot write {self.journal}: {error.strerror}; what was measured before is kept, "
                f"and `python -m harness run --resume {self.path}` goes on from there"
            ) from None

    def _entries(self) -> list[dict[str, Any]]:
        try:
            lines = self.journal.read_bytes().splitlines(keepends=True)
        except OSError as error:
            raise UserError(f"cannot read {self.journal}: {error.strerror}") from None
        entries = []
        for number, line in enumerate(lines, 1):
            try:
                entries.append(json.loads(line))
            except ValueError:
                if number < len(lines) or line.endswith(b"\n"):
                    raise UserError(f"{self.journal}, line {number}, is not JSON; the file was damaged") from None
        return entries

    def mend(self) -> None:
        """Cut off a last line that a kill left half-written, so that what follows it is readable."""
        try:
            data = self.journal.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                with self.journal.open("rb+") as file:
                    file.truncate(whole)
        except OSError as error:
            raise UserError(f"cannot mend {self.journal}: {error.strerror}") from None

    # --- what stands beside it -----------------------------------------------------------------------

    def write_environment(self, environment: dict[str, Any]) -> None:
        """Record the machine; each later session of a resumed run is kept beside the first."""
        path = self.path / "environment.json"
        if path.exists():
            first = self.environment()
            first.setdefault("resumed", []).append(environment)
            environment = first
        try:
            _write_json(path, environment)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None

    def environment(self) -> dict[str, Any]:
        """The machine and the versions as the run found them; empty when that was never written."""
        try:
            return json.loads((self.path / "environment.json").read_text())
        except (OSError, ValueError):
            return {}

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the derived files, whole or not at all. Raises `UserError` when it cannot."""
        path = self.path / name
        try:
            scratch = path.with_name(f".{name}.part")
            scratch.write_text(text)
            scratch.replace(path)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        return path


def with_status(cells: list[Cell], *statuses: Status) -> list[Cell]:
    """The cells that ended in one of the statuses."""
    return [cell for cell in cells if cell.status in statuses]


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
