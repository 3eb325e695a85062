"""A run's folder: plan.json · environment.json · journal.jsonl · samples.csv · results.csv · report.md"""

from __future__ import annotations

import json
import reprlib
import shlex
from pathlib import Path
from typing import Any

from harness.errors import UserError, describe
from harness.measure.plan import Plan
from harness.operators.base import Operator
from harness.plugins.origin import FILES, Origin
from harness.records.files import read_whole, write_whole
from harness.records.machine import Machine
from harness.records.problem import PosedProblem
from harness.records.run import Run
from harness.records.stored import machine_of, store_machine
from harness.records.strict_json import dumps
from harness.records.typed import checked
from harness.runs import old
from harness.runs.journal import Journal, read

PLAN, JOURNAL = "plan.json", "journal.jsonl"


class RunFolder:
    """One run on disk, read when it is opened. Make a new one with `create`, find one again with `open`."""

    def __init__(self, path: Path, plan: dict[str, Any], journal: Journal):
        self.path = path
        self._plan = plan
        self.journal = journal
        self.problems = tuple(PosedProblem.from_json(problem) for problem in plan["problems"])
        """In the order of the plan."""

    @classmethod
    def create(cls, path: Path, plan: Plan) -> RunFolder:
        """Start a run in a folder that does not exist or is empty. Raises `UserError` for any other."""
        try:
            if path.is_dir() and any(path.iterdir()):
                hint = f"; to go on with the run in it: python -m harness run --resume {shlex.quote(str(path))}"
                held = hint if (path / PLAN).exists() else "; name another folder"
                raise UserError(f"{path} is not empty, and nothing in it will be overwritten{held}")
            path.mkdir(parents=True, exist_ok=True)
            text = dumps(plan.to_json(), indent=1)
            (path / JOURNAL).touch()
            write_whole(path / PLAN, text + "\n")
        except OSError as error:
            raise UserError(f"cannot write the run's folder {path}: {error.strerror}") from None
        return cls(path, json.loads(text), Journal(path / JOURNAL))

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in a folder. Raises `UserError` when there is none that can be read."""
        try:
            plan = old.plan(json.loads(read_whole(path / PLAN)))
            problems = {problem["name"]: problem for problem in plan["problems"]}
            folder = cls(path, plan, Journal(path / JOURNAL))
            checked(folder.run())
            folder._check_names()
        except OSError as error:
            raise UserError(f"{path} holds no run: plan.json: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path}/plan.json is not a plan of this version: {describe(error)}") from None
        return cls(path, plan, read(path / JOURNAL, lambda line: old.line(line, problems)))

    def _check_names(self) -> None:
        """Of what must be found before the plan can be read. Raises `TypeError` and others where it is no name."""
        if not isinstance(self.operator, str):
            raise TypeError(f"operator must be a name, not {reprlib.repr(self.operator)}")
        for name in ("problems", "contenders"):
            if not self._plan[name]:
                raise ValueError(f"it has no {name}")
        for contender in self._plan["contenders"]:
            checked(Origin(**contender["origin"]))

    @property
    def operator(self) -> str:
        """The name of the operator whose problems they are."""
        return self._plan["operator"]

    @property
    def plugins(self) -> list[str]:
        """The files with implementations, and the layers in files, that the plan names."""
        origins = [Origin(**contender["origin"]).inner for contender in self._plan["contenders"]]
        return list(dict.fromkeys(origin.location for origin in origins if origin.kind in FILES))

    def plan(self, operator: Operator) -> Plan:
        """The plan, to be carried out. Raises `UserError` when it cannot be read."""
        try:
            return Plan.from_json(self._plan, operator)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path}/plan.json is not a plan of this version: {error}") from None

    def run(self) -> Run:
        """What is known of the run so far."""
        return Run(
            preset=self._plan["preset"],
            problems=self.problems,
            implementations=tuple(contender["name"] for contender in self._plan["contenders"]),
            baseline=self._plan["baseline"],
            threads=self._plan["threads"],
            cells=tuple(self.journal.cells),
            machine=self.machine(),
            settings={"seed": self._plan["seed"], **self._plan["effort"]},
        )

    # --- what stands beside the journal --------------------------------------------------------------

    def write_machine(self, machine: Machine) -> None:
        """Record the machine of this session; that of each later session of a resumed run is kept beside the first."""
        store_machine(self.path, machine)

    def machine(self) -> Machine:
        """The machine and the versions as the run found them; empty when that was never written."""
        return machine_of(self.path)

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the derived files, whole or not at all. Raises `UserError` when it cannot."""
        return write_whole(self.path / name, text)
