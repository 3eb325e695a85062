"""Texts with what is to be said of them, their parts for training, validation and test, and the file that holds them."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError

TRAIN, VALIDATION, TEST = PARTS = ("train", "validation", "test")
FILE = "examples.jsonl.gz"


@dataclass(frozen=True)
class Example:
    """A text, and its label or its translation."""

    text: str
    target: str
    part: str = ""
    """Of the data: "train", "validation" or "test"."""

    def line(self) -> str:
        """As the file has it."""
        return json.dumps({"text": self.text, "target": self.target, "part": self.part}, ensure_ascii=False)


def part_of(text: str) -> str:
    """Eight of ten texts are trained on, one validates and one tests, by their hash: equal texts are never parted."""
    tenth = int.from_bytes(hashlib.sha256(text.strip().lower().encode()).digest()[:8]) % 10
    return TEST if tenth == 0 else VALIDATION if tenth == 1 else TRAIN


def prepared(found: Iterable[tuple[str, str]], one_target: bool) -> list[Example]:
    """Distinct texts in parts: of equal ones the first stays, or none where each has `one_target` and they differ."""
    targets: dict[str, str] = {}
    contradicted = set()
    for text, target in found:
        text, target = " ".join(text.split()), " ".join(target.split())
        if not text or not target:
            continue
        if one_target and targets.get(text, target) != target:
            contradicted.add(text)
        targets.setdefault(text, target)
    return [Example(text, target, part_of(text)) for text, target in targets.items() if text not in contradicted]


def write(examples: Iterable[Example], folder: Path) -> dict[str, Any]:
    """Write the file into a folder; what its manifest says of it."""
    lines = sorted(example.line() for example in examples)
    text = "".join(f"{line}\n" for line in lines).encode()
    (folder / FILE).write_bytes(gzip.compress(text, mtime=0))
    parts = Counter(json.loads(line)["part"] for line in lines)
    return {
        "examples": len(lines),
        "parts": dict(sorted(parts.items())),
        "examples_sha256": hashlib.sha256(text).hexdigest(),
    }


def read(folder: Path) -> list[Example]:
    """What `write` has written. Raises `UserError` where it cannot be read."""
    try:
        with gzip.open(folder / FILE, "rt", encoding="utf-8") as file:
            return [Example(**json.loads(line)) for line in file]
    except (OSError, EOFError, ValueError, TypeError, RecursionError, zlib.error) as error:
        raise UserError(f"{folder / FILE} cannot be read ({error}); delete {folder} to fetch it again") from None


def of_part(examples: Iterable[Example], part: str) -> Iterator[Example]:
    """Those of one part."""
    return (example for example in examples if example.part == part)
