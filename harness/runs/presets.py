"""Sets of problems as data: the built-in presets, and a user's own file of the same form."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measure.plan import Effort
from harness.operators.attention.problem import Problem
from harness.errors import UserError
from harness.errors import unknown_name

BUILT_IN = Path(__file__).with_name("presets.toml")

_BOTH = {"heads": ("q_heads", "kv_heads"), "length": ("q_len", "kv_len")}
_FIELDS = [field.name for field in dataclasses.fields(Problem)]


@dataclass(frozen=True)
class Preset:
    """A named set of problems and how much time each cell gets."""

    name: str
    description: str
    source: str
    problems: tuple[Problem, ...]
    effort: Effort


def built_in(name: str) -> Preset:
    """The built-in preset of that name. Raises `UserError` with the nearest names when there is none."""
    tables = _read(BUILT_IN)
    if name not in tables:
        raise UserError(unknown_name("preset", name, list(tables), "`python -m harness presets` shows all"))
    return _preset(name, tables[name], BUILT_IN.name)


def all_built_in() -> list[Preset]:
    """Every built-in preset, in the order of the file."""
    return [_preset(name, table, BUILT_IN.name) for name, table in _read(BUILT_IN).items()]


def from_file(path: Path) -> Preset:
    """All problems of a user's file, which may hold several named sets.

    Raises `UserError` when it cannot be read, is not TOML, or poses a problem that cannot be posed.
    """
    tables = _read(path)
    if not tables:
        raise UserError(f"{path} holds no problems; it needs a [name] with [[name.problems]]")
    presets = [_preset(name, table, path.name) for name, table in tables.items()]
    if len(presets) == 1:
        return presets[0]
    problems = tuple(dict.fromkeys(p for preset in presets for p in preset.problems))
    return Preset(path.stem, "", str(path), problems, presets[0].effort)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read the problems in {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None


def _preset(name: str, table: Any, where: str) -> Preset:
    entries = table.get("problems") if isinstance(table, dict) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{where}, [{name}]: needs problems, each as [[{name}.problems]]")
    unknown = set(table) - {"description", "source", "effort", "problems"}
    if unknown:
        raise UserError(f"{where}, [{name}]: unknown key {min(unknown)}; known are description, source, effort, problems")
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
            problems += _expand(entry)
        except UserError as error:
            raise UserError(f"{where}, [{name}], problem {number}: {error}") from None
    distinct = tuple(dict.fromkeys(problems))
    return Preset(name, table.get("description", ""), table.get("source", ""), distinct, effort)


def _expand(entry: dict[str, Any]) -> list[Problem]:
    """The problems of one entry: a list of values stands for one each, several lists for every combination."""
    for key in entry:
        if key not in _FIELDS and key not in _BOTH:
            raise UserError(unknown_name("field", key, [*_FIELDS, *_BOTH], "A problem has"))
    for key, value in entry.items():
        if value == []:
            raise UserError(f"{key} is an empty list, which stands for no problem at all")
    varied = {key: value if _is_sweep(key, value) else [value] for key, value in entry.items()}
    return [_problem(dict(zip(varied, values, strict=True))) for values in itertools.product(*varied.values())]


def _is_sweep(key: str, value: Any) -> bool:
    """A window is itself a list of two numbers; a list of such is a sweep."""
    return isinstance(value, list) and (key != "window" or (bool(value) and isinstance(value[0], list)))


def _problem(values: dict[str, Any]) -> Problem:
    fields: dict[str, Any] = {}
    for key, value in values.items():
        for field in _BOTH.get(key, (key,)):
            if field in fields:
                raise UserError(f"{field} is given twice, once by {key}")
            fields[field] = None if value == "none" else value
    for needed in ("q_len", "head_dim"):
        if needed not in fields:
            raise UserError(f"{needed} is missing")
    return Problem(**fields)
