"""What `harness list` shows; apart from the other tables so that it need not wait for pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_list(console: Console, entries: Iterable[Mapping[str, Any]]) -> None:
    """What `harness list` shows."""
    grid = Table()
    for heading in ("implementation", "framework", "devices", "here", "supports"):
        grid.add_column(heading, no_wrap=heading == "implementation")
    for entry in entries:
        here = Text("\n".join(f"{device}: {reason or 'yes'}" for device, reason in entry["devices"].items()))
        supports = "\n".join(dict.fromkeys(entry["supports"].values()))
        devices = " ".join(entry["devices"])
        if entry["error"]:
            here, supports = Text(entry["error"], style="red"), ""
        grid.add_row(entry["name"], entry["framework"], devices, here, Text(supports))
    console.print(grid)
