"""The command line: which command, its exit status, and signals."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

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
from harness.errors.text import one_line
from harness.workers import scratch, strays

MOST_SAID = 2000
"""Characters of a sentence for the terminal."""

OK, FAILED, WRONG_COMMAND, INTERRUPTED = 0, 1, 2, 130

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end a command in good order."""

COMMANDS = (
    list, presets, run, model, task, explore, data, tune, check, compare, baseline, frontier, conventions, report, worker,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status: 0 fine, 1 a check failed, 2 the command was wrong, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal that has no ± shows a question mark.
    words = sys.argv[1:] if arguments is None else [*arguments]
    if "" in words:  # "$UNSET": what follows would be taken for something else, or for nothing.
        parser().error("an argument is empty; give it a value, or leave the option out")
    given = parser().parse_args(words)
    scratch.settle()
    strays.adopt()
    strays.sweep()
    scratch.sweep()
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup(1) has it.
            signal.signal(number, _stop)
    try:
        passed = given.run(given)
        if sys.stdout is not None:
            sys.stdout.flush()
        return OK if passed else FAILED
    except KeyboardInterrupt as stop:
        print("harness: interrupted", file=sys.stderr)
        return stop.status if isinstance(stop, Stopped) else INTERRUPTED
    except BrokenPipeError:  # `harness list | head`: the reader has had enough.
        _print_no_more()
        return OK
    except OSError as error:
        if error.filename is not None:  # A path that cannot be used, in whatever way.
            return _complain(f"{error.filename}: {error.strerror}")
        if error.errno == errno.ENOENT:  # tempfile's, which names every folder that it tried.
            return _complain(f"{error.strerror}; TMPDIR may name a folder that can be written")
        if error.errno not in (errno.ENOSPC, errno.EBADF, errno.EIO):
            raise
        _print_no_more()  # What a command prints is all that some of them are for.
        _complain(f"standard output cannot be written: {error.strerror}")
        return FAILED
    except UserError as error:
        return _complain(str(error))


def _complain(sentence: str) -> int:
    """Say what is wrong. Returns the exit status of a wrong command."""
    with contextlib.suppress(OSError, ValueError):
        print(f"harness: {one_line(sentence, MOST_SAID)}", file=sys.stderr)
    return WRONG_COMMAND


def _print_no_more() -> None:
    """Have what Python flushes in the end go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """The options of every command; `run` among them is the command."""
    top = Parser(prog="python -m harness", description=harness.__doc__)
    verbs = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="verb")
    for command in COMMANDS:
        command.add(verbs)
    return top


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print it, and exit with status 2."""
        self.exit(WRONG_COMMAND, f"harness: {one_line(message, MOST_SAID)}; `{self.prog} --help` shows what there is\n")


class Stopped(KeyboardInterrupt):
    """A signal that ends a command as Ctrl-C does: workers are ended, tables written, the way to go on is said."""

    def __init__(self, number: int):
        super().__init__()
        self.status = 128 + number


def _stop(number: int, _: object) -> None:
    """The first of these signals ends the command; what comes while that is done changes nothing."""
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)
