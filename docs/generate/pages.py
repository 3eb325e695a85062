"""Pages with parts that a program writes, each between two markers: <!-- NAME --> and <!-- end of NAME -->."""

from collections.abc import Mapping
from pathlib import Path

from harness.records.machine import Machine

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
RESULTS = ROOT / "results"


def written(page: Path, blocks: Mapping[str, str]) -> str:
    """The text of a page with its named parts written anew. Raises `ValueError` where a marker is missing."""
    text = page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"{page} has no {begin} … {end}")
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n{block}\n{end}{rest.partition(end)[2]}"
    return text


def between(page: Path, name: str) -> str:
    """What now stands between the markers."""
    return page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]


def write(pages: Mapping[Path, str]) -> None:
    """Write each page."""
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")


def where(machine: Machine) -> str:
    """The machine and the day, as every table names them."""
    return f"{machine.name}, {machine.date[:10]}"
