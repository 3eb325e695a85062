"""Data made on the spot: nothing is downloaded, and a seed decides."""

from __future__ import annotations

import ast
import importlib.metadata
import random
from collections.abc import Iterator
from pathlib import Path

from harness.data.examples import Example, prepared

MADE = "made"
"""What such data are called."""

DOCUMENTED = ("numpy", "scipy", "pandas", "numba", "rich", "tabulate", "psutil")
"""Packages that this one depends on, hence installed."""

_LEAST_WORDS = 4

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_MONATE = (
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TAGE = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")


def documentation() -> list[Example]:
    """The first paragraph of every documentation string of the installed packages that this one needs, by package.

    Read from their sources, without importing them.
    """
    return prepared(_docstrings(), one_target=True)


def _docstrings() -> Iterator[tuple[str, str]]:
    for package in DOCUMENTED:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in sorted(str(file.locate()) for file in files if file.suffix == ".py" and "test" not in str(file)):
            try:
                tree = ast.parse(Path(file).read_text(encoding="utf-8"))
            except (OSError, SyntaxError, ValueError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    said = (ast.get_docstring(node) or "").partition("\n\n")[0]
                    if len(said.split()) >= _LEAST_WORDS:
                        yield said.replace(package, "PACKAGE"), package


def dates(count: int, seed: int) -> list[Example]:
    """Dates and amounts, English and German: `Monday, 3 May 2021: 4,210.50 euros`, `Montag, 3. Mai 2021: 4.210,50 Euro`."""
    draw = random.Random(seed)
    return prepared((_date(draw) for _ in range(count)), one_target=True)


def _date(draw: random.Random) -> tuple[str, str]:
    weekday, day, month, year = draw.randrange(7), draw.randint(1, 28), draw.randrange(12), draw.randint(1900, 2099)
    amount = draw.randint(1, 999_999) / 100
    english = f"{_DAYS[weekday]}, {day} {_MONTHS[month]} {year}: {amount:,.2f} euros"
    german = f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))
    return english, f"{_TAGE[weekday]}, {day}. {_MONATE[month]} {year}: {german} Euro"
