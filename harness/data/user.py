"""A user's own texts: a CSV, TSV or JSONL file with a header."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.data.examples import PARTS, Example, part_of
from harness.errors import UserError
from harness.records.files import read_whole

TEXT, LABEL = ("text", "source"), ("label", "target")
"""Names of the two columns: of labelled texts, of translations."""
PART = "part"
ENDINGS = (".csv", ".tsv", ".jsonl")

csv.field_size_limit(2**24)


def examples(path: Path) -> list[Example]:
    """The texts of a file with columns `text` and `label`, or `source` and `target`, and optionally `part`.

    Without a part they are divided by their hash. Rows whose text or label is empty are left out. Raises `UserError` for a
    file that cannot be read, without these columns, or with nothing in it.
    """
    try:
        rows = list(_rows(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"{path} is not {path.suffix[1:].upper()} in UTF-8: {error}") from None
    if not rows:
        raise UserError(f"{path} holds no texts")
    text, label = (_column(path, rows[0], names) for names in (TEXT, LABEL))
    found = []
    for row in rows:
        said, target, part = (str(row.get(key) or "").strip() for key in (text, label, PART))
        if part and part not in PARTS:
            raise UserError(f"{path} has a part {part!r}; there are {', '.join(PARTS)}")
        if said and target:
            found.append(Example(said, target, part or part_of(said)))
    if not found:
        raise UserError(f"every row of {path} has an empty {text} or {label}")
    return found


def _rows(path: Path) -> Iterator[dict[str, object]]:
    if path.suffix not in ENDINGS:
        raise UserError(f"{path} is neither of {', '.join(ENDINGS)}")
    with io.StringIO(read_whole(path).decode("utf-8-sig"), newline="") as file:
        if path.suffix == ".jsonl":
            for line in filter(str.strip, file):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise UserError(
                        f'{path} needs an object a line, such as {{"text": …, "label": …}}, and not {line[:40]!r}'
                    )
                yield row
        else:
            yield from csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)


def _column(path: Path, columns: Iterable[str | None], names: tuple[str, ...]) -> str:
    have = [str(column) for column in columns]
    for name in names:
        if name in have:
            return name
    raise UserError(f"{path} has no column {' or '.join(names)}; it has {', '.join(have)[:200]}")
