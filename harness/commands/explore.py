"""`harness explore`: choosing the parameters of a model by experiment."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.commands.going_on import told_how_to_go_on
from harness.errors import UserError
from harness.plugins.registry import discover
from harness.records.lock import owned
from harness.workers.processors import usable

if TYPE_CHECKING:
    from harness.tasks.exploring.folder import ExploreFolder

EXPLORED: dict[str, Callable[[str], Any]] = {
    "model": str, "heads": int, "width": int, "layers": int, "learning_rate": float, "batch": int, "dropout": float,
    "longest": int, "vocabulary": int,
}  # fmt: skip
"""Fields of a recipe that may have several values, and what these are."""


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser("explore", parents=[options.plugin()], help="choose the parameters of a model by experiment")
    verb.add_argument("--task", metavar="NAME", help="text-classification, sentiment, translation, recall or listops")
    verb.add_argument("--impl", metavar="NAME", default="torch-sdpa", help="the attention inside (torch-sdpa)")
    verb.add_argument("--data", metavar="NAME", help="as of `harness task`")
    for name, kind in EXPLORED.items():
        verb.add_argument(
            f"--{name.replace('_', '-')}", type=_values(kind), metavar="A,B,…", help="one value, or several to explore"
        )
    verb.add_argument("--steps", type=options.positive_int, metavar="N", help="of training")
    verb.add_argument("--seeds", type=options.positive_int, default=1, metavar="N", help="trainings of each recipe (1)")
    verb.add_argument("--minutes", type=options.positive_number, metavar="M", help="in all (10)")
    verb.add_argument("--sampler", default="grid", metavar="NAME", help="grid, or a search by Optuna: tpe, random (grid)")
    verb.add_argument(
        "--no-halving", action="store_true", help="train all to their end, also those that do badly at first (recall does)"
    )
    verb.add_argument("--threads", type=options.positive_int, metavar="N", help="CPU threads (all)")
    verb.add_argument("--out", type=Path, metavar="DIR", help="the folder (a new one in runs/)")
    verb.add_argument("--resume", type=Path, metavar="DIR", help="go on for --minutes more")
    verb.set_defaults(run=run)


def _values(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def values(text: str) -> list[Any]:
        try:
            return list(dict.fromkeys(kind(part.strip()) for part in text.split(",")))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers, such as 1,2,4") from None

    return values


def run(given: argparse.Namespace) -> bool:
    """Begin, or go on."""
    import importlib.util

    from harness.commands.task import missing
    from harness.tasks.exploring.folder import ExploreFolder

    absent = "optuna" if importlib.util.find_spec("optuna") is None else ""
    if reason := missing() or (absent and f"tasks need {absent}: pip install 'attention-harness[tasks]'"):
        raise UserError(reason)
    folder = ExploreFolder.open(given.resume) if given.resume else _begun(given)
    return _carry_out(folder, given)


def _begun(given: argparse.Namespace) -> ExploreFolder:
    import dataclasses

    from harness.commands.run import fresh_folder
    from harness.tasks.catalogue import task
    from harness.tasks.exploring.folder import SAMPLERS, ExploreFolder
    from harness.tasks.exploring.space import Space
    from harness.tasks.plan import Training
    from harness.tasks.usable import attentions, reasons

    if not given.task:
        raise UserError("which task? --task takes text-classification, sentiment, translation, recall or listops")
    if given.sampler not in SAMPLERS:
        raise UserError(f"there is no sampler {given.sampler}; there are {', '.join(SAMPLERS)}")
    chosen = task(given.task)
    recipe = chosen.recipe_for(given.data or chosen.data[0])
    named = {name: getattr(given, name) for name in EXPLORED if getattr(given, name)}
    fixed = {name: values[0] for name, values in named.items() if len(values) == 1}
    fixed |= {"steps": given.steps} if given.steps else {}
    values = {name: values for name, values in named.items() if len(values) > 1}
    space = Space(dataclasses.replace(recipe, **_fitting(recipe, fixed, values)), values, given.seeds)
    registry = attentions(discover(given.plugin))
    (name,) = registry.select(given.impl)[:1]
    one = registry.implementations.get(name)
    if one is None or (said := reasons(one, space.recipe, chosen)):
        raise UserError(f"{name} cannot be trained with: {said if one else 'it cannot be loaded'}")
    attention = Training(name, space.recipe, name, one.framework, one.origin)
    out = given.out or fresh_folder(f"explore-{chosen.name}")
    return ExploreFolder.create(out, attention, space, given.sampler, not given.no_halving)


def _fitting(recipe: Any, fixed: dict[str, Any], values: dict[str, list[Any]]) -> dict[str, Any]:
    """What is fixed, with heads that share the width whatever of both is explored."""
    width = fixed.get("width", recipe.width)
    heads = fixed.get("heads", recipe.heads)
    return fixed if "heads" in fixed or width % heads == 0 else {**fixed, "heads": 1}


def _carry_out(folder: ExploreFolder, given: argparse.Namespace) -> bool:
    import time

    from harness.report.terminal import Output
    from harness.runs.environment import machine
    from harness.tasks.exploring import report
    from harness.tasks.exploring.display import Display
    from harness.tasks.exploring.folder import SPACE
    from harness.tasks.exploring.search import COMPLETE, Search

    threads, console = given.threads or usable(), Output()
    minutes = given.minutes or 10.0
    with owned(folder.path / SPACE):
        search = Search(folder)
        folder.write_machine(machine(threads))
        console.print(
            f"{folder.space.combinations} combinations, {folder.space.seeds} seeds, {minutes:g} minutes at most; "
            f"the folder is {folder.path}",
            soft_wrap=True,
        )
        try:
            with told_how_to_go_on("explore", folder.path, console.say):
                with Display(console, folder.space, minutes * 60) as display:
                    search.run(folder.attention, threads, time.monotonic() + minutes * 60, display.tried)
                report.write(folder, search.study)
        except BaseException:  # Of what was tried there is a report, whatever has ended it.
            with contextlib.suppress(UserError):
                report.write(folder, search.study)
            raise
    report.print_to(console, folder, search.study)
    console.print(f"\nThe report is in {folder.path}: report.md, results.csv", soft_wrap=True)
    return bool(search.study.get_trials(states=(COMPLETE,)))
