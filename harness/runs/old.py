"""Runs written by earlier versions, brought into the present form while they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    if not isinstance(cell, Mapping):
        return dict(data)
    if isinstance(cell.get("problem"), str):
        cell = {**cell, "problem": problems[cell["problem"]]}
    if isinstance(cell.get("timing"), Mapping) and "samples_s" in cell["timing"]:
        cell = {**cell, "timing": _timing(**cell["timing"])}
    return {**data, "cell": cell}


def _timing(samples_s: Sequence[float], rounds: Sequence[int], calls_per_sample: int, **rest: Any) -> dict[str, Any]:
    """A timing. One process took all samples, each of which had its round."""
    by_round: dict[int, list[float]] = {}
    for number, sample_s in zip(rounds, samples_s, strict=True):
        by_round.setdefault(number, []).append(sample_s)
    turns = [
        {"process": 0, "round": number, "order": 0, "start_s": 0.0, "calls": calls_per_sample, "samples_s": taken}
        for number, taken in by_round.items()
    ]
    return {"turns": turns, "stopped": "one process, all rounds", **rest}
