"""Options that several commands have, and what they may be."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors.text import one_line

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
    some.add_argument("--timeout", type=positive_number, metavar="S", help="seconds for any one step (60)")
    some.add_argument("--memory", type=gibibytes, metavar="GIB", help="for the workers (80 %% of what is available)")
    some.add_argument("--wait-for-idle", action="store_true", help="begin when nothing else uses the machine")
    some.add_argument("--seed", type=seed, metavar="N", help="of the inputs (0)")
    some.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (a new one in runs/)")
    return some


LONGEST_S = 1e7
"""Of a limit of time: four months."""

MOST_GIB = float(2**20)
LEAST_GIB = 2.0**-10

MOST_SEED = 2**32 - 1
"""What every framework takes as the seed of its random numbers."""


def positive_number(text: str) -> float:
    """Above zero, and of a size that a clock or a percentage can have."""
    return _number(text, 1e-9, LONGEST_S)


def gibibytes(text: str) -> float:
    """An amount of memory."""
    return _number(text, LEAST_GIB, MOST_GIB)


def positive_int(text: str) -> int:
    """A whole number from 1 on."""
    return _whole(text, 1, 2**31 - 1)


def positive_ints(text: str) -> list[int]:
    """One or more, separated by commas."""
    return [positive_int(part) for part in text.split(",")]


def seed(text: str) -> int:
    """A seed."""
    return _whole(text, 0, MOST_SEED)


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {as_typed(text)}") from None
    if not least <= value <= most:  # nan is in no range.
        raise argparse.ArgumentTypeError(f"must be between {least:g} and {most:g}, not {as_typed(text)}")
    return value


def _whole(text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:  # Of thousands of digits, too.
        raise argparse.ArgumentTypeError(f"must be a whole number, not {as_typed(text)}") from None
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be between {least} and {most}, not {as_typed(text)}")
    return value


def as_typed(text: str) -> str:
    """What somebody has typed, short enough for a sentence."""
    return one_line(text, 40) or "nothing"
