"""What `harness list` shows; apart from the other tables so that it need not wait for pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_list(console: Console, entries: Sequence[Mapping[str, Any]]) -> None:
    """Every implementation: where it can run here or why not, what it is, and what it supports; the wrong ones last."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    here = 0
    right = [entry for entry in entries if not entry["wrong_on_purpose"]]
    for entry in [*right, *(entry for entry in entries if entry["wrong_on_purpose"])]:
        if entry["error"]:
            grid.add_row(entry["name"], Text(f"cannot be loaded: {entry['error']}"), style="red")
            continue
        able = [device for device, reason in entry["devices"].items() if reason is None]
        here += bool(able) and not entry["wrong_on_purpose"]
        state = Text(" ".join(able), style="green")
        if not able:
            state = Text("; ".join(dict.fromkeys(entry["devices"].values())), style="yellow")
        told = state + Text(f"  {entry['summary']}", style="" if able else "dim")
        for device, supports in _by_device(entry["supports"]):
            told += Text(f"\n{device}{supports}", style="dim")
        if entry["wrong_on_purpose"]:
            told += Text(f"\nwrong on purpose: {entry['wrong_on_purpose']}", style="dim red")
        for reason in entry["known_failures"]:
            told += Text(f"\nknown failure: {reason}", style="dim yellow")
        grid.add_row(Text(entry["name"], style="bold" if able else "dim"), told)
    console.print(grid)
    console.print(f"\n{here} of {len(right)} can run here.", highlight=False)


def _by_device(supports: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is supported, once where it is the same on every device."""
    if len(set(supports.values())) == 1:
        return [("", next(iter(supports.values())))]
    return [(f"{device}: ", text) for device, text in supports.items()]
