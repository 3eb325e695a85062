"""Options that several commands have, and what they may be."""

from __future__ import annotations

import argparse

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
