"""Options that several commands have, and what they may be."""

from __future__ import annotations

import argparse
from pathlib import Path

DEVICES = ("cpu", "cuda", "auto")


def plugin() -> argparse.ArgumentParser:
    """--plugin, of every command that finds implementations."""
    some = argparse.ArgumentParser(add_help=False)
    some.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="a Python file with implementations of your own, or FILE:CLASS, a layer",
    )
    return some


def operator() -> argparse.ArgumentParser:
    """--operator, of every command that finds implementations."""
    some = argparse.ArgumentParser(add_help=False)
    some.add_argument("--operator", metavar="NAME", help="attention, multi-head, or a plug-in's own (attention)")
    return some


def device() -> argparse.ArgumentParser:
    """--device, of every command that runs them."""
    some = argparse.ArgumentParser(add_help=False)
    some.add_argument("--device", choices=DEVICES, default="auto", help="(auto: CUDA where there is any)")
    return some


def measuring() -> argparse.ArgumentParser:
    """The options of every command that measures, whatever it measures."""
    some = argparse.ArgumentParser(add_help=False)
    some.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads for every implementation (all)")
    some.add_argument("--timeout", type=positive_number, default=60.0, metavar="S", help="seconds for any one step (60)")
    some.add_argument("--memory", type=positive_number, metavar="GIB", help="for the workers (80 %% of what is available)")
    some.add_argument("--wait-for-idle", action="store_true", help="begin when nothing else uses the machine")
    some.add_argument("--seed", type=int, default=0, metavar="N", help="of the inputs (0)")
    some.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (a new one in runs/)")
    return some


def positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above zero, not {text}")
    return value


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def positive_ints(text: str) -> list[int]:
    """One or more, separated by commas."""
    return [positive_int(part) for part in text.split(",")]
