"""The command line: which command, its exit status, and signals."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence

import harness
from harness.commands import (
    baseline,
    check,
    compare,
    conventions,
    data,
    explore,
    frontier,
    list,
    model,
    presets,
    report,
    run,
    task,
    tune,
    worker,
)
from harness.errors import UserError

OK, FAILED, WRONG_COMMAND, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

COMMANDS = (
    list, presets, run, model, task, explore, data, tune, check, compare, baseline, frontier, conventions, report, worker,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status: 0 fine, 1 a check failed, 2 the command was wrong, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal that has no ± shows a question mark.
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return OK if given.run(given) else FAILED
    except KeyboardInterrupt as stop:
        print("harness: interrupted", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    except BrokenPipeError:  # `harness list | head`: the reader has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except UserError as error:
        print(f"harness: {error}", file=sys.stderr)
        return WRONG_COMMAND


def parser() -> argparse.ArgumentParser:
    """The options of every command; `run` among them is the command."""
    top = argparse.ArgumentParser(prog="python -m harness", description=harness.__doc__)
    verbs = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="verb")
    for command in COMMANDS:
        command.add(verbs)
    return top


class Terminated(KeyboardInterrupt):
    """SIGTERM, which a run survives as well as Ctrl-C: workers are ended, tables written, the way to go on is said."""


def _terminate(*_: object) -> None:
    raise Terminated
