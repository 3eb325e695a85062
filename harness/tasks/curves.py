"""The curve of a training, as its journal has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.records.files import read_whole
from harness.records.lines import add_lines, opened
from harness.records.strict_json import number
from harness.records.typed import checked

FILE = "curves.jsonl"


@dataclass(frozen=True)
class Point:
    """Loss in nats and accuracy after a step, and the seconds that training has taken until then."""

    step: int
    part: str
    """"train": of that step's batch; "validation": of the whole part."""
    loss: float
    accuracy: float
    seconds: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Point:
        """What was written of it. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        return checked(cls(**{**data, **{name: number(data[name]) for name in ("loss", "accuracy", "seconds")}}))


def append(folder: Path, name: str, points: Iterable[Point]) -> None:
    """Add points of a training to the journal. Raises `UserError` when it cannot be written."""
    add_lines(folder / FILE, [{"name": name, **dataclasses.asdict(point)} for point in points])


def read(folder: Path) -> dict[str, list[Point]]:
    """The curves by name. A damaged line counts nothing; steps made twice count as they were last."""
    found: dict[str, dict[tuple[int, str], Point]] = {}
    try:
        lines = read_whole(folder / FILE).splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            values = opened(line)
            name, point = values.pop("name"), Point.from_json(values)
            found.setdefault(name, {})[point.step, point.part] = point
        except (ValueError, TypeError, KeyError):
            continue
    return {name: [points[key] for key in sorted(points)] for name, points in found.items()}
