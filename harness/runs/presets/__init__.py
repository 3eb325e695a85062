"""Sets of problems as data: the built-in presets, and a user's own file of the same form."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError, unknown_name
from harness.errors.text import said_by
from harness.measure.plan import Effort
from harness.operators.attention.operator import ATTENTION
from harness.operators.base import Operator
from harness.operators.multi_head.operator import MULTI_HEAD
from harness.operators.problem import Problem
from harness.records.files import read_whole

OPERATORS = {operator.name: operator for operator in (ATTENTION, MULTI_HEAD)}
BUILT_IN = {name: Path(__file__).with_name(f"{name}.toml") for name in OPERATORS}
"""Files of presets, by the operator whose problems they hold."""

MOST_PROBLEMS = 10_000
"""Of a set: a run of more would take weeks."""

_NAME = re.compile(r"\w[\w.+-]{0,79}")


@dataclass(frozen=True)
class Preset:
    """A named set of problems and how much time each cell gets."""

    name: str
    description: str
    source: str
    problems: tuple[Problem, ...]
    effort: Effort
    operator: Operator = ATTENTION


def built_in(name: str, operator: Operator = ATTENTION) -> Preset:
    """The built-in preset of that name. Raises `UserError` with the nearest names when there is none."""
    if operator.name not in BUILT_IN:
        raise UserError(f"there are no presets of {operator.name}; give problems of your own: --problems FILE")
    path = BUILT_IN[operator.name]
    tables = _read(path)
    if name not in tables:
        shown = "`python -m harness presets" + (f" --operator {operator.name}`" if operator is not ATTENTION else "`")
        raise UserError(unknown_name("preset", name, list(tables), f"{shown} shows all"))
    return _preset(name, tables[name], path.name, [operator], operator)


def all_built_in(operator: str = ATTENTION.name) -> list[Preset]:
    """Every built-in preset of an operator, in the order of the file. Raises `UserError` for one that has none."""
    if operator not in BUILT_IN:
        raise UserError(unknown_name("operator", operator, list(BUILT_IN), "Presets there are of"))
    return [built_in(name, OPERATORS[operator]) for name in _read(BUILT_IN[operator])]


def from_file(path: Path, operators: Sequence[Operator] = (ATTENTION,), default: Operator = ATTENTION) -> Preset:
    """All problems of a user's file, which may hold several named sets of problems of one of the operators; sets that do not
    say of which are the default's.

    Raises `UserError` when it cannot be read, is not TOML, or poses a problem that cannot be posed.
    """
    tables = _read(path)
    if not tables:
        raise UserError(f"{path} holds no problems; it needs a [name] with [[name.problems]]")
    presets = [_preset(name, table, path.name, operators, default) for name, table in tables.items()]
    first = presets[0]
    if len(presets) == 1:
        return first
    for other in presets:
        if other.operator is not first.operator:
            mixed = f"[{first.name}] of {first.operator.name} and [{other.name}] of {other.operator.name}"
            raise UserError(f"{path} mixes operators, {mixed}; give each a file of its own")
    problems = tuple(dict.fromkeys(p for preset in presets for p in preset.problems))
    return Preset(path.stem, "", str(path), problems, first.effort, first.operator)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_whole(path).decode())
    except OSError as error:
        raise UserError(f"cannot read the problems in {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # Numbers of thousands of digits, and tables in a thousand tables, too.
        raise UserError(f"{path} is not TOML: {said_by(error)}") from None


def _preset(
    name: str, table: Any, where: str, operators: Sequence[Operator] = (ATTENTION,), default: Operator = ATTENTION
) -> Preset:
    if not _NAME.fullmatch(name):  # A folder is called by it.
        raise UserError(f"{where}: a set of problems is called by letters, digits and any of _ . + -, not {name!r}")
    entries = table.get("problems") if isinstance(table, dict) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{where}, [{name}]: needs problems, each as [[{name}.problems]]")
    unknown = set(table) - {"description", "source", "operator", "effort", "problems"}
    if unknown:
        keys = "description, source, operator, effort, problems"
        raise UserError(f"{where}, [{name}]: unknown key {min(unknown)}; known are {keys}")
    operator = _operator(table.get("operator", default.name), operators, f"{where}, [{name}]")
    for key in ("description", "source"):
        if not isinstance(table.get(key, ""), str):
            raise UserError(f"{where}, [{name}]: {key} must be a text, not {table[key]!r}")
    given = table.get("effort", {})
    if not isinstance(given, dict):
        raise UserError(f"{where}, [{name}], effort: must be a table such as {{ rounds = 10 }}, not {given!r}")
    known = [field.name for field in dataclasses.fields(Effort)]
    for key in given:
        if key not in known:
            raise UserError(f"{where}, [{name}], effort: {unknown_name('setting', key, known, 'There are')}")
    try:
        effort = Effort(**given)
    except ValueError as error:
        raise UserError(f"{where}, [{name}], effort: {error}") from None
    problems = []
    for number, entry in enumerate(table["problems"], 1):
        try:
            problems += _expand(entry, operator)
        except UserError as error:
            raise UserError(f"{where}, [{name}], problem {number}: {error}") from None
    distinct = tuple(dict.fromkeys(problems))
    if len(distinct) > MOST_PROBLEMS:
        raise UserError(f"{where}, [{name}]: {len(distinct):,} problems, and a set may have {MOST_PROBLEMS:,}")
    return Preset(name, table.get("description", ""), table.get("source", ""), distinct, effort, operator)


def _operator(name: Any, operators: Sequence[Operator], where: str) -> Operator:
    for operator in operators:
        if operator.name == name:
            return operator
    names = [operator.name for operator in operators]
    hint = "--plugin FILE adds those of a file; there are"
    raise UserError(f"{where}: {unknown_name('operator', str(name), names, hint)}")


def _expand(entry: dict[str, Any], operator: Operator) -> list[Problem]:
    """The problems of one entry: a list of values stands for one each, several lists for every combination."""
    fields = [field.name for field in dataclasses.fields(operator.problem)]  # type: ignore[arg-type]
    for key in entry:
        if key not in fields and key not in operator.together:
            raise UserError(unknown_name("field", key, [*fields, *operator.together], "A problem has"))
    for key, value in entry.items():
        if value == []:
            raise UserError(f"{key} is an empty list, which stands for no problem at all")
    varied = {key: value if _is_sweep(key, value, operator) else [value] for key, value in entry.items()}
    if (count := math.prod(map(len, varied.values()))) > MOST_PROBLEMS:
        raise UserError(f"its lists stand for {count:,} problems, and a set may have {MOST_PROBLEMS:,}")
    return [_problem(dict(zip(varied, values, strict=True)), operator) for values in itertools.product(*varied.values())]


def _is_sweep(key: str, value: Any, operator: Operator) -> bool:
    """Where the value of a field is itself a list, as that of a window is, a list of such is a sweep."""
    return isinstance(value, list) and (key not in operator.lists or (bool(value) and isinstance(value[0], list)))


def _problem(values: dict[str, Any], operator: Operator) -> Problem:
    fields: dict[str, Any] = {}
    for key, value in values.items():
        for field in operator.together.get(key, (key,)):
            if field in fields:
                raise UserError(f"{field} is given twice, once by {key}")
            fields[field] = None if value == "none" else value
    for one in dataclasses.fields(operator.problem):  # type: ignore[arg-type]
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING and one.name not in fields:
            raise UserError(f"{one.name} is missing")
    problem = operator.problem(**fields)
    if not problem.output_bytes:
        shapes = ", ".join(f"{name} {shape}" for name, shape in problem.output_shapes.items())
        raise UserError(f"the answer would be empty, {shapes}: there is nothing to measure")
    return problem
