"""Run the grids through implementations; `python -m tests.external.grids --help` says how."""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from harness.conformance.examiner import Examiner
from harness.conformance.findings import counted
from harness.conformance.kinds import kinds_of
from harness.conformance.lines import line, row
from harness.conformance.tally import PASSING, Chapter
from harness.conformance.verdict import Verdict
from harness.errors import UserError, unknown_name
from harness.plugins.contender import Contender, contenders
from harness.plugins.registry import discover
from harness.problem import Problem
from harness.registry import Implementation, Supports
from tests.external.grids import PROJECTS, Problems, covering, every
from tests.external.grids.examine import Answers, sample, verdicts

OK, FAILED, WRONG_COMMAND, INTERRUPTED = 0, 1, 2, 130

TIMEOUT_S = 120
"""For one problem."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine what is asked for. Returns 0, 1 when anything was wrong, 2 for a wrong command, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # As Ctrl-C, so that the kept answers are removed.
    try:
        return OK if _run(options) else FAILED
    except UserError as error:
        print(f"grids: {error}", file=sys.stderr)
        return WRONG_COMMAND
    except KeyboardInterrupt:
        print("grids: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.external.grids",
        description="The shape grids of FlashAttention's, xformers', PyTorch's and JAX's attention tests, by our oracle.",
    )
    parser.add_argument("--impl", default="all", metavar="NAMES", help="all, or names separated by commas (all)")
    parser.add_argument("--project", default="all", metavar="NAMES", help=f"all, or some of {', '.join(PROJECTS)} (all)")
    parser.add_argument("--problem", metavar="NAME", help="only this problem")
    parser.add_argument("--every", action="store_true", help="the full products, which take days")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for every problem")
    return parser


def _run(options: argparse.Namespace) -> bool:
    """Examine and print. True when nothing was wrong."""
    registry = discover().of("attention")
    names = registry.select(options.impl)
    choice = Choice(_projects(options.project), options.problem, options.every)
    right = True
    with _table(options.csv) as write, tempfile.TemporaryDirectory() as scratch:
        answers = Answers(Path(scratch))
        for contender in contenders(registry, names, "auto"):
            if contender.absent:
                right &= not contender.broken
                print(f"{contender.name}: {'error' if contender.broken else 'unavailable'}: {contender.absent}", flush=True)
                continue
            with Examiner(contender, len(os.sched_getaffinity(0)), TIMEOUT_S) as examiner:
                for project in choice.projects:
                    supports = registry.implementations[contender.name].supports_on(contender.device)
                    problems = choice.of(registry.implementations[contender.name], supports, project)
                    right &= _told(contender, project, verdicts(examiner, supports, project, problems, answers), write)
    return right


def _projects(names: str) -> list[str]:
    chosen = list(PROJECTS) if names == "all" else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in PROJECTS:
            raise UserError(unknown_name("project", name, list(PROJECTS), f"There are {', '.join(PROJECTS)}:"))
    return chosen


class Choice:
    """Which problems an implementation is given."""

    def __init__(self, projects: list[str], problem: str | None, whole: bool):
        self._whole = whole
        self._coverings: dict[str, Problems] = {} if whole else {project: covering(project) for project in projects}
        self._only: Problem | None = None
        self.projects = projects
        if problem:
            self.projects, self._only = self._named(problem)

    def _named(self, name: str) -> tuple[list[str], Problem]:
        for project in self.projects:
            for problem in every(project) if self._whole else self._coverings[project]:
                if problem.name == name:
                    return [project], problem
        where = "the full products" if self._whole else "the default run; --every looks into the full products"
        raise UserError(f"no problem of {where} is called {name}")

    def of(self, implementation: Implementation, supports: Supports, project: str) -> Iterable[Problem]:
        """Its problems of a project."""
        if self._only:
            return [self._only]
        return every(project) if self._whole else sample(implementation, supports, self._coverings[project])


def _told(
    contender: Contender, project: str, judged: Iterable[Verdict], write: Callable[[Verdict, Contender], None]
) -> bool:
    """Print each failure and a line for the project. True when nothing failed."""
    chapter = Chapter(project)
    for verdict in judged:
        chapter.add(verdict)
        write(verdict, contender)
        if verdict.status not in PASSING:
            print(line(contender.name, verdict, _repetition(contender, project, verdict)), flush=True)
    worst = ""
    if chapter.worst and chapter.worst.accuracy:
        worst = f"  worst error {chapter.worst.accuracy.error_over_bound:.3g} of its bound: {chapter.worst.case.name}"
    print(f"{contender.name:<18} {project:<16} {counted(chapter.counts):<30}{worst}".rstrip(), flush=True)
    return all(status in PASSING for status in chapter.counts)


def _repetition(contender: Contender, project: str, verdict: Verdict) -> str:
    return f"python -m tests.external.grids --impl {contender.name} --project {project} --problem {verdict.case.name}"


@contextlib.contextmanager
def _table(path: Path | None) -> Iterator[Callable[[Verdict, Contender], None]]:
    """What writes a verdict as a row; each at once, so that what an interrupted run found is there."""
    if path is None:
        yield lambda verdict, contender: None
        return
    if path.exists():
        raise UserError(f"{path} exists, and is not overwritten; give --csv another name")
    with open(path, "x", newline="", buffering=1) as file:
        writer = csv.writer(file)

        def write(verdict: Verdict, contender: Contender) -> None:
            kind = "" if verdict.status in PASSING else kinds_of(verdict).shown[0]
            cells = row(contender.name, contender.device, verdict, kind)
            if not file.tell():
                writer.writerow(cells.keys())
            writer.writerow(cells.values())

        yield write


if __name__ == "__main__":
    sys.exit(main())
