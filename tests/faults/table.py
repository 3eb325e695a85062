"""A line of docs/faults.md for every fault; `python -m docs.generate.faults` writes the page."""

import re

from harness.conformance.cases import all_cases
from harness.operators.base import Operator
from tests.faults.catalogue import FAULTS
from tests.faults.judging import Rejection, rejection

HEADER = "| fault | what is wrong | chapters that reject it | what the suite says of the cause |\n|---|---|---|---|"

FEW = 4
"""Chapters up to which those that do not reject a fault are named in place of those that do."""

MEASURED = re.compile(r", about [\d.e+-]+ of the output")
"""What differs between machines in the words for a cause."""


def row(fault_id: str) -> str:
    """A fault's line of the table."""
    found = rejection(fault_id)
    cells = (
        f"`{fault_id}`",
        FAULTS[fault_id].sentence,
        chapters(found, FAULTS[fault_id].subject_class.operator),
        MEASURED.sub("", found.cause) or "–",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def chapters(found: Rejection, operator: Operator) -> str:
    """The chapters whose core cases reject it, or those few that do not; else, in italics, those whose other cases do."""
    if not found.core:
        return f"*{', '.join(found.chapters)}*" if found.verdicts else "**none**"
    every = list(dict.fromkeys(case.chapter for case in all_cases(operator)))
    others = [chapter for chapter in every if chapter not in found.chapters]
    if not others:
        return "every one"
    return f"all but {', '.join(others)}" if len(others) <= FEW else ", ".join(found.chapters)
