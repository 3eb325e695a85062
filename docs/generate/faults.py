"""The table of docs/faults.md: `python -m docs.generate.faults` judges every fault; minutes."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from docs.generate.pages import ROOT, between, write, written
from tests.faults.catalogue import FAULTS
from tests.faults.table import HEADER, row

PAGE = ROOT / "docs" / "faults.md"
NAME = "fault table"


def documented() -> list[str]:
    """The lines of the page's table."""
    return between(PAGE, NAME).splitlines()


def pages() -> dict[Path, str]:
    """The page as it should be. As many faults are judged at a time as there are processors."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as processes:
        return {PAGE: written(PAGE, {NAME: "\n".join([HEADER, *processes.map(row, FAULTS)])})}


if __name__ == "__main__":
    write(pages())
