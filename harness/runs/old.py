"""Runs written by earlier versions, brought into the present form while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.operators.attention.operator import ATTENTION


def plan(data: Mapping[str, Any]) -> dict[str, Any]:
    """A plan. There was one operator, whose problems were their bare fields, and implementations were modules of `impls`."""
    values = dict(data)
    if "operator" not in values:
        values["operator"] = ATTENTION.name
        posed = (ATTENTION.problem(**fields).posed(ATTENTION.name) for fields in values["problems"])
        values["problems"] = [problem.to_json() for problem in posed]
    values["contenders"] = [{**c, "origin": _origin(**c["origin"])} for c in values["contenders"]]
    return values


def _origin(kind: str, location: str) -> dict[str, str]:
    if location.startswith("impls."):
        return {"kind": "built-in", "location": f"attention.{location.removeprefix('impls.')}"}
    return {"kind": kind, "location": location}


def line(data: Mapping[str, Any], problems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A line of a journal. A cell held the name of its problem, which the plan has: `problems` by name."""
    cell = data.get("cell")
    if not isinstance(cell, Mapping) or not isinstance(cell.get("problem"), str):
        return dict(data)
    return {**data, "cell": {**cell, "problem": problems[cell["problem"]]}}
