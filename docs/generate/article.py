"""The tables of docs/article.md: `python -m docs.generate.article` checks the article's layer and a right one; a minute.

Both are layers of Keras, which must be installed.
"""

import csv
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from docs.generate.pages import ROOT, write, written

PAGE = ROOT / "docs" / "article.md"
WRONG, RIGHT = "article", "keras-layer"
NAMES = WRONG, RIGHT

STATUSES = {"ok": "passed", "incorrect": "incorrect", "error": "error", "crashed": "crashed", "unsupported": "unsupported"}
"""How a case may end, and the word of the table."""

Row = dict[str, str]


def checked(*names: str) -> list[Row]:
    """The rows of `harness check --csv`, every case of the named layers."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "cases.csv"
        command = [sys.executable, "-m", "harness", "check", "--operator", "multi-head", "--impl", ",".join(names)]
        done = subprocess.run(
            [*command, "--full", "--device", "cpu", "--quiet", "--csv", str(rows)], cwd=ROOT, text=True, capture_output=True
        )
        if done.returncode != 1:  # The article's layer is wrong.
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        with rows.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def chapters(rows: Sequence[Row]) -> str:
    """A line for each chapter: both layers' counts, and the first finding about the wrong one."""
    lines = ["| chapter | `article` | `keras-layer` | first finding about `article` |", "|---|---|---|---|"]
    for name in dict.fromkeys(row["chapter"] for row in rows):
        mine = [row for row in rows if row["chapter"] == name]
        counts = (_counted(row for row in mine if row["implementation"] == each) for each in NAMES)
        lines.append(f"| {name} | {' | '.join(counts)} | {_first(mine)} |")
    totals = (_counted(row for row in rows if row["implementation"] == each) for each in NAMES)
    return "\n".join([*lines, f"| **all** | {' | '.join(totals)} | |"])


def kinds(rows: Sequence[Row]) -> str:
    """Every kind of failure of the article's layer, the commonest first, with a case of it."""
    failed = [row for row in rows if row["implementation"] == WRONG and row["kind"]]
    lines = ["| cases | first of them | what is found |", "|---|---|---|"]
    for kind, count in Counter(row["kind"] for row in failed).most_common():
        first = next(row for row in failed if row["kind"] == kind)
        lines.append(f"| {count} | `{_id(first)}` | {_said(first)} |")
    return "\n".join(lines)


def unsupported(rows: Sequence[Row]) -> str:
    """Why cases of the article's layer were not examined, the commonest first."""
    reasons = (reason for row in rows if row["implementation"] == WRONG and row["status"] == "unsupported"
               for reason in row["reason"].split("; "))  # fmt: skip
    return "\n".join(f"- {reason} ({count} cases)" for reason, count in Counter(reasons).most_common())


def _counted(rows: Iterable[Row]) -> str:
    """Such as "3 passed, 2 unsupported"; "–" where there are no cases."""
    counts = Counter(row["status"] for row in rows)
    told = [f"{counts[status]} {word}" for status, word in STATUSES.items() if counts[status]]
    return ", ".join(told) or "–"


def _first(rows: Sequence[Row]) -> str:
    failed = [row for row in rows if row["implementation"] == WRONG and row["status"] not in ("ok", "unsupported")]
    return f"`{_id(failed[0])}`: {_said(failed[0])}" if failed else "–"


def _id(row: Row) -> str:
    return f"{row['chapter']}/{row['case']}"


_DETAILS = re.compile(r"\{\{.*?\}\} |Exception encountered when calling [\w.]+\(\)\. |,? ?(name: )?Arguments received by .*")
"""What Keras puts around an exception's message."""

_PLACE = re.compile(r" \([\w.]+, line \d+\)$")


def _said(row: Row) -> str:
    """The finding and its cause, figures to two places: the others differ from machine to machine."""
    reason = _DETAILS.sub("", _PLACE.sub("", row["reason"])).strip()
    text = " ".join(filter(None, [reason.rstrip(".") + ".", row["cause"]]))
    text = re.sub(r"\d+\.?\d*e[+-]?\d+|\d+\.\d+", lambda number: f"{float(number[0]):.2g}", text)
    return text.replace("|", "\\|")


def pages() -> dict[Path, str]:
    """The page as it should be."""
    rows = checked(*NAMES)
    blocks = {"chapters": chapters(rows), "kinds of failures": kinds(rows), "not examined": unsupported(rows)}
    return {PAGE: written(PAGE, blocks)}


if __name__ == "__main__":
    write(pages())
