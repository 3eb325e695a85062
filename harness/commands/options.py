"""What can be typed after `python -m harness`."""

from __future__ import annotations

import argparse
from pathlib import Path

import harness
from harness.operators.dtypes import DIRECTIONS, DTYPES


def parser() -> argparse.ArgumentParser:
    """The options of every command; `options.verb` is the command's name."""
    top = argparse.ArgumentParser(prog="python -m harness", description=harness.__doc__)
    verbs = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="verb")
    plugin = argparse.ArgumentParser(add_help=False)
    plugin.add_argument(
        "--plugin", action="append", default=[], metavar="FILE", help="a Python file with implementations of your own"
    )

    verb = verbs.add_parser("list", parents=[plugin], help="all implementations, and whether they can run here")
    verb.add_argument("--json", action="store_true", help="as JSON")

    verb = verbs.add_parser("presets", help="the built-in sets of problems")

    measured = _measured()
    verb = verbs.add_parser("run", parents=[plugin, measured], help="check, time and weigh implementations")
    verb.add_argument("--impl", metavar="NAMES", help="all, or names separated by commas (all)")
    verb.add_argument("--baseline", metavar="NAME", help="what speed-ups are against (numpy)")
    verb.add_argument("--resume", type=Path, metavar="DIR", help="go on with an interrupted run")

    verb = verbs.add_parser("tune", parents=[plugin, measured], help="an implementation's own choices against others")
    verb.add_argument("--impl", metavar="NAME", required=True, help="an implementation that declares what can be tuned")
    verb.set_defaults(resume=None)

    verb = verbs.add_parser("check", parents=[plugin], help="the conformance cases, chapter by chapter")
    verb.add_argument("--impl", metavar="NAMES", required=True, help="all, or names separated by commas")
    verb.add_argument("--case", action="append", default=[], metavar="ID", help="only this case or chapter; may be repeated")
    verb.add_argument("--device", choices=("cpu", "cuda", "auto"), default="auto", help="(auto: CUDA where there is any)")
    verb.add_argument("--threads", type=_positive_int, metavar="N", help="CPU threads (all)")
    verb.add_argument("--timeout", type=_positive_number, default=120.0, metavar="S", help="for one case, in seconds (120)")
    verb.add_argument("--full", action="store_true", help="every case, also where each shape is compiled for seconds")
    verb.add_argument("--seed", type=int, metavar="N", help="of the arrays, instead of each case's own")
    verb.add_argument("--quiet", action="store_true", help="of the cases, only the first failure of each kind")
    verb.add_argument("--csv", type=Path, metavar="FILE", help="write a row for every case")

    verb = verbs.add_parser("conventions", parents=[plugin], help="what every implementation really does, by probing")
    verb.add_argument("--impl", metavar="NAMES", default="all", help="all, or names separated by commas (all)")
    verb.add_argument("--device", choices=("cpu", "cuda", "auto"), default="auto", help="(auto: CUDA where there is any)")
    verb.add_argument(
        "--timeout", type=_positive_number, default=120.0, metavar="S", help="for one of them, in seconds (120)"
    )
    verb.add_argument("--format", choices=("md", "json"), help="markdown or JSON instead of a table for the terminal")

    verb = verbs.add_parser("report", help="the tables of a stored run")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--format", choices=("md", "csv"), help="markdown or CSV instead of tables for the terminal")
    verb.add_argument("--plot", type=Path, metavar="FILE", help="time and workspace against the length, as a picture")
    return top


def _measured() -> argparse.ArgumentParser:
    """The options of every command that measures."""
    some = argparse.ArgumentParser(add_help=False)
    some.add_argument("--preset", metavar="NAME", help="a built-in set of problems (quick)")
    some.add_argument("--problems", type=Path, metavar="FILE", help="problems of your own, in TOML")
    some.add_argument("--device", choices=("cpu", "cuda", "auto"), default="auto", help="(auto: CUDA where there is any)")
    some.add_argument("--direction", choices=DIRECTIONS, help="instead of each problem's own")
    some.add_argument("--dtype", choices=tuple(DTYPES), help="instead of each problem's own")
    some.add_argument("--threads", type=_positive_int, metavar="N", help="CPU threads for every implementation (all)")
    some.add_argument("--timeout", type=_positive_number, default=60.0, metavar="S", help="seconds for any one step (60)")
    some.add_argument("--memory", type=_positive_number, metavar="GIB", help="for the workers (80 %% of what is available)")
    some.add_argument("--seed", type=int, default=0, metavar="N", help="of the inputs (0)")
    some.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (a new one in runs/)")
    return some


def _positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above zero, not {text}")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value
