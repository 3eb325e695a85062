"""Carries out attacks for some time, prints what got through, and writes docs/reliability.md where that is asked for."""

import argparse
import random
import sys
import time

from harness.runs.environment import machine
from tests.attacks.kind import ROOT, Kind, NotHereError, scene
from tests.attacks.kinds import KINDS

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- attacks -->", "<!-- end of attacks -->"


def carried_out(kind: Kind, number: int) -> str:
    """One attack: the number decides what it does, so that it can be repeated. Raises `NotHereError`."""
    with scene() as found:
        try:
            return kind.attack(found, random.Random(f"{kind.name} {number}"))
        except NotHereError:
            raise
        except Exception as error:  # An attack that breaks the attacker got through, too.
            return f"{type(error).__name__}: {error}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (10)")
    parser.add_argument("--kind", action="append", help="only this kind; may be repeated")
    parser.add_argument("--number", type=int, help="only this attack of it")
    parser.add_argument("--first", type=int, help="the number of the first attack of each kind (drawn anew)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    given = parser.parse_args()
    first = random.randrange(10**6) if given.first is None else given.first
    first = first if given.number is None else given.number
    print(f"The numbers begin at {first}", flush=True)
    kinds = [kind for kind in KINDS if not given.kind or kind.name in given.kind]
    rows, failed = [], 0
    for kind in kinds:
        seconds = 60 * given.minutes * kind.share / sum(one.share for one in kinds)
        tried = passed = 0
        until = time.monotonic() + seconds
        number = first
        while time.monotonic() < until or not tried:
            try:
                said = carried_out(kind, number)
            except NotHereError as reason:
                print(f"{kind.name}: {reason}", flush=True)
                break
            tried, passed = tried + kind.each, passed + (0 if said else kind.each)
            if said:
                print(f"{kind.name}, number {number}: {said}", flush=True)
            if given.number is not None:
                break
            number += 1
        failed += tried - passed
        rows.append((kind, tried, passed))
        print(f"{kind.name}: {passed} of {tried}", flush=True)
    if given.write:
        _write(rows, given.minutes, first)
    return 1 if failed else 0


def _write(rows: list[tuple[Kind, int, int]], minutes: float, first: int) -> None:
    lines = ["| attack | tried | passed | what holds |", "|:--|--:|--:|:--|"]
    lines += [f"| {kind.name} | {tried:,} | {passed:,} | {kind.promise} |" for kind, tried, passed in rows]
    here = machine(threads=1)
    lines += [
        "",
        f"{minutes:g} minutes on {here.processor}, {here.usable_cpus} CPUs, {here.date[:10]}, at {here.commit[:7]}; "
        f"numbers from {first:,} on.",
    ]
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    PAGE.write_text(head + BEGIN + "\n" + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
