"""The table of docs/faults.md. `python -m tests.faults.table` writes it anew."""

import os
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from harness.conformance.cases import all_cases
from tests.faults.catalogue import FAULTS
from tests.faults.judging import Rejection, rejection

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- fault table -->", "<!-- end of fault table -->"
HEADER = "| fault | what is wrong | chapters that reject it | what the suite says of the cause |\n|---|---|---|---|"

FEW = 4
"""Chapters up to which those that do not reject a fault are named in place of those that do."""

MEASURED = re.compile(r", about [\d.e+-]+ of the output")
"""What differs between machines in the words for a cause."""


def row(fault_id: str) -> str:
    """A fault's line of the table."""
    found = rejection(fault_id)
    cells = (f"`{fault_id}`", FAULTS[fault_id].sentence, chapters(found), MEASURED.sub("", found.cause) or "–")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def chapters(found: Rejection) -> str:
    """The chapters whose core cases reject it, or those few that do not; else, in italics, those whose other cases do."""
    if not found.core:
        return f"*{', '.join(found.chapters)}*" if found.verdicts else "**none**"
    every = list(dict.fromkeys(case.chapter for case in all_cases()))
    others = [chapter for chapter in every if chapter not in found.chapters]
    if not others:
        return "every one"
    return f"all but {', '.join(others)}" if len(others) <= FEW else ", ".join(found.chapters)


def documented() -> list[str]:
    """The lines between the page's markers."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip().splitlines()


def main() -> None:
    """Judge every fault, as many at a time as there are processors, and write the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as processes:
        table = "\n".join([HEADER, *processes.map(row, FAULTS)])
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
