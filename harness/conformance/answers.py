"""The oracle's answers in files, so that processes that judge the same cases compute each once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from harness import operators
from harness.operators.answer import save
from harness.operators.base import Operator
from harness.operators.case import Case

VARIABLE = "ATTENTION_HARNESS_ANSWERS"
"""The environment variable that names the folder. It is as old as the oracle: a change of that needs an empty one."""


class Answers:
    """A folder of answers.

    They are computed in the process that asks for them: no framework, and no implementation, has changed its arithmetic.
    """

    def __init__(self, operator: Operator, folder: Path):
        self._operator = operator
        self._folder = folder

    @classmethod
    def shared(cls, operator: Operator) -> Answers | None:
        """Those in the folder that the environment names; None without one, and for an operator of a plug-in, whose oracle
        stays in the worker: that may end by it."""
        folder = os.environ.get(VARIABLE)
        known = type(operator).__module__.startswith(f"{operators.__name__}.")
        return cls(operator, Path(folder)) if folder and known else None

    def path(self, case: Case) -> Path:
        """The file with the answer to a case, made if it is not there; `answer.load` reads it."""
        asked = (self._operator.name, case.problem, case.inputs, case.seed)
        path = self._folder / f"{hashlib.sha256(repr(asked).encode()).hexdigest()}.npz"
        if not path.exists():
            inputs = self._operator.vary(case.problem, case.inputs, case.seed)
            right = self._operator.expected(case.problem, inputs, case.seed)
            descriptor, name = tempfile.mkstemp(suffix=".npz", dir=self._folder)
            os.close(descriptor)
            save(right, Path(name))
            os.replace(name, path)  # Whole, or not there: another process may be looking.
        return path
