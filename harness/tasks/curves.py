"""The curve of a training, as its journal has it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError

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


def append(folder: Path, name: str, points: Iterable[Point]) -> None:
    """Add points of a training to the journal. Raises `UserError` when it cannot be written."""
    text = "".join(json.dumps({"name": name, **dataclasses.asdict(point)}) + "\n" for point in points)
    try:
        with (folder / FILE).open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
    except OSError as error:
        raise UserError(f"cannot write {folder / FILE}: {error.strerror}") from None


def read(folder: Path) -> dict[str, list[Point]]:
    """The curves by name. A line that was cut off by a kill counts nothing; steps made twice count as they were last."""
    found: dict[str, dict[tuple[int, str], Point]] = {}
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            values: dict[str, Any] = json.loads(line)
            name, point = values.pop("name"), Point(**values)
        except (ValueError, TypeError, KeyError):
            continue
        found.setdefault(name, {})[point.step, point.part] = point
    return {name: [points[key] for key in sorted(points)] for name, points in found.items()}
