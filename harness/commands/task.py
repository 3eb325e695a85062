"""`harness task`: models trained on real text, with implementations of attention inside."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.commands.going_on import told_how_to_go_on
from harness.errors import UserError
from harness.plugins.registry import discover
from harness.records.lock import owned
from harness.workers.processors import usable

if TYPE_CHECKING:
    from harness.plugins.registry import Found
    from harness.tasks.catalogue import Task
    from harness.tasks.plan import Notes, TaskFolder, Training
    from harness.tasks.recipe import Recipe

RECIPE = ("width", "heads", "layers", "batch", "steps", "longest", "vocabulary", "seed")
"""Options that are fields of a recipe, whole numbers."""


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser("task", parents=[options.plugin()], help="train a model on real text with attention inside")
    verb.add_argument(
        "name", metavar="NAME", nargs="?", help="text-classification, sentiment, translation, recall or listops"
    )
    verb.add_argument("--impl", metavar="NAMES", default="torch-sdpa", help="names separated by commas (torch-sdpa)")
    verb.add_argument("--data", metavar="NAME", help="see `harness data list`; a CSV, TSV or JSONL file; hub:NAME; or made")
    verb.add_argument("--model", metavar="KIND", help="transformer, lstm or gru (transformer)")
    verb.add_argument(
        "--framework", metavar="NAMES", default="torch", help="torch, keras: its layer, trained by fit; or both (torch)"
    )
    verb.add_argument(
        "--seeds", type=options.positive_int, default=1, metavar="N", help="trainings of each, from --seed on (1)"
    )
    verb.add_argument("--minutes", type=options.positive_number, metavar="M", help="train so long, in place of --steps")
    for option in RECIPE:
        kind = options.seed if option == "seed" else options.positive_int
        verb.add_argument(f"--{option}", type=kind, metavar="N", help=_HELP[option])
    verb.add_argument("--learning-rate", type=float, metavar="X", help="the highest, of one cycle")
    verb.add_argument("--threads", type=options.positive_int, metavar="N", help="CPU threads (all)")
    verb.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (a new one in runs/)")
    verb.add_argument("--resume", type=Path, metavar="DIR", help="go on with an interrupted run")
    verb.add_argument("--predict", metavar="TEXT", help="what the model of a run says of a text")
    verb.add_argument("--show", metavar="TEXT", help="a page with the weights of every head over its words (attention.html)")
    verb.add_argument("--from", dest="of", type=Path, metavar="DIR", help="that run's folder (the latest of the task)")
    verb.set_defaults(run=run)


_HELP = {
    "width": "of the model", "heads": "of attention", "layers": "of the model", "batch": "texts in a step",
    "steps": "of training", "longest": "tokens of a text, at most", "vocabulary": "tokens there are, at most",
    "seed": "of weights, order and dropout (0)",
}  # fmt: skip


def run(given: argparse.Namespace) -> bool:
    """Train, go on with training, or use what was trained."""
    from harness.tasks import translating
    from harness.tasks.catalogue import task
    from harness.tasks.plan import KERAS, TORCH, TaskFolder

    if reason := missing():
        raise UserError(reason)
    if given.resume:
        return _carry_out(TaskFolder.open(given.resume), given)
    if not given.name:
        raise UserError("which task? " + ", ".join(_names()))
    chosen = task(given.name)
    if given.predict is not None:
        return _predict(given.of or latest(chosen.name), given.predict)
    if given.show is not None:
        return _show(given.of or latest(chosen.name), given.show, given.out or Path("attention.html"))
    found = discover(given.plugin)
    recipe = recipe_of(chosen, given)
    trainings = []
    for framework in given.framework.split(","):
        if framework not in (TORCH, KERAS):
            raise UserError(f"--framework takes torch, keras or torch,keras, not {framework!r}")
        trainings += _with_keras(chosen, recipe) if framework == KERAS else _trainings(chosen, recipe, given.impl, found)
    trainings += [_of_seed(one, recipe.seed + n) for n in range(1, given.seeds) for one in trainings if not one.shaken]
    if given.minutes:
        trainings = _as_long_as(trainings, given)
    notes, new = _notes(chosen, trainings[0].recipe)
    folder = TaskFolder.create(given.out or _fresh(chosen.name), trainings, notes)
    if new is not None:
        folder.write_text(translating.NEW, json.dumps(new) + "\n")
    return _carry_out(folder, given)


def missing() -> str:
    """What of the extra `tasks` is not installed, as a sentence; "" when nothing is."""
    import importlib.util

    for module in ("torch", "tokenizers", "sklearn", "sacrebleu"):
        if importlib.util.find_spec(module) is None:
            return f"tasks need {module}: pip install 'attention-harness[tasks]'"
    return ""


def _names() -> list[str]:
    from harness.tasks.catalogue import TASKS

    return list(TASKS)


def recipe_of(chosen: Task, given: argparse.Namespace) -> Recipe:
    """The usual recipe of a task with what the options change."""
    from harness.tasks.catalogue import checked

    changes = {
        name: getattr(given, name) for name in (*RECIPE, "learning_rate", "model") if getattr(given, name) is not None
    }
    return checked(dataclasses.replace(chosen.recipe_for(given.data or chosen.data[0]), **changes))


def _trainings(chosen: Task, recipe: Recipe, names: str, found: Found) -> list[Training]:
    """One for each implementation, and the one that shows what rounding does; one in all for a recurrent model."""
    from harness.tasks.plan import Training
    from harness.tasks.recipe import TRANSFORMER
    from harness.tasks.sameness import SHAKEN, STEPS
    from harness.tasks.usable import attentions, reasons

    if recipe.model != TRANSFORMER:
        return [Training(recipe.model, recipe, "", "torch")]
    registry = attentions(found)
    trainings = []
    for name in registry.select(names):
        one = registry.implementations.get(name)
        if one is None:
            raise UserError(f"{name} cannot be used here: it cannot be loaded")
        if said := reasons(one, recipe, chosen):
            raise UserError(f"{name} cannot be trained with: {said}")
        trainings.append(Training(name, recipe, name, one.framework, one.origin))
    if len(trainings) > 1:
        first = trainings[0]
        trainings.append(dataclasses.replace(first, name=SHAKEN, stop=min(STEPS, recipe.steps), shaken=True))
    return trainings


def _of_seed(training: Training, seed: int) -> Training:
    """The same training with another seed."""
    recipe = dataclasses.replace(training.recipe, seed=seed)
    return dataclasses.replace(training, name=f"{training.name}-seed-{seed}", recipe=recipe)


def _with_keras(chosen: Task, recipe: Recipe) -> list[Training]:
    """This project's layer in a model of Keras."""
    from harness.frameworks import adapter
    from harness.tasks.catalogue import LABELS
    from harness.tasks.plan import KERAS, Training
    from harness.tasks.recipe import TRANSFORMER

    if chosen.kind != LABELS or recipe.model != TRANSFORMER:
        raise UserError(f"--framework keras is for transformers that tell labels, not for {chosen.name} by {recipe.model}")
    if reason := adapter("keras").unavailable("cpu"):
        raise UserError(f"--framework keras cannot be used here: {reason}")
    return [Training("keras", recipe, "keras", "keras", session=KERAS)]


def _as_long_as(trainings: list[Training], given: argparse.Namespace) -> list[Training]:
    """The trainings with as many steps as the first of them makes in the minutes that are given."""
    from harness.tasks.training import steps_in

    steps = steps_in(trainings[0], given.minutes * 60, _threads(given))
    return [dataclasses.replace(one, recipe=dataclasses.replace(one.recipe, steps=steps)) for one in trainings]


def _notes(chosen: Task, recipe: Recipe) -> tuple[Notes, list[bool] | None]:
    """What the report says beside the trainings; and of translations, which pairs are new."""
    from collections import Counter

    from harness.tasks import baselines, translating
    from harness.tasks.catalogue import LABELS, RECALL
    from harness.tasks.plan import Notes
    from harness.tasks.sources import digest, of_recipe

    if chosen.kind == RECALL:
        return Notes(), None
    examples, new = of_recipe(recipe), None
    if chosen.kind == LABELS:
        floors = baselines.of_labels(chosen, examples)
    else:
        floors, new = translating.baselines(recipe.data, examples)
    parts = Counter(example.part for example in examples)
    return Notes(dict(parts), digest(examples), floors), new


def _threads(given: argparse.Namespace) -> int:
    return given.threads or usable()


def _carry_out(folder: TaskFolder, given: argparse.Namespace) -> bool:
    from harness.report.terminal import Output
    from harness.runs.environment import machine
    from harness.tasks import report, summary
    from harness.tasks.display import Display
    from harness.tasks.plan import PLAN
    from harness.tasks.training import train

    threads, console = _threads(given), Output()
    with owned(folder.path / PLAN):
        folder.write_machine(machine(threads))
        console.print(f"{len(folder.trainings)} trainings; the run's folder is {folder.path}", soft_wrap=True)
        with told_how_to_go_on("task", folder.path, console.say):
            with Display(console) as display:
                train(folder, threads, display)
            found = summary.table(folder)
            folder.write_text(report.TABLE, found.to_csv(index=False))
            folder.write_text(report.REPORT, report.markdown(folder))
            drawn = _drawn(folder)
    if (tried := found[found.seed.notna()]).status.eq(summary.FAILED).all():
        raise UserError(f"nothing was trained: {tried.reason.iloc[0]}")
    report.print_to(console, folder)
    console.print(f"\nThe report is in {folder.path}: {report.REPORT}, {report.TABLE}{drawn}", soft_wrap=True)
    return not (found.status == summary.FAILED).any()


def _drawn(folder: TaskFolder) -> str:
    from harness.tasks import report

    try:
        report.draw(folder, folder.path / report.PICTURE)
    except ImportError:
        return " (a picture needs matplotlib: pip install 'attention-harness[plot]')"
    return f", {report.PICTURE}"


def _predict(run: Path, text: str) -> bool:
    from harness.tasks.training import predicted

    for line in predicted(run, text)[1].lines:
        print(line)
    return True


def _show(run: Path, text: str, out: Path) -> bool:
    from harness.tasks.page import page
    from harness.tasks.training import predicted

    attention, said = predicted(run, text)
    if not said.weights:
        raise UserError(f"the model of {run} has no attention to look at")
    if out.exists():
        raise UserError(f"{out} exists, and will not be overwritten; name another file: --out FILE")
    try:
        out.write_text(page(text, said.lines, attention, said.weights), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from None
    print(f"The weights of every head are in {out}")
    return True


def latest(name: str) -> Path:
    """The folder of the latest run of a task under runs/. Raises `UserError` where there is none."""
    found = sorted(Path("runs").glob(f"*-{name}*/finished.jsonl"))
    if not found:
        raise UserError(f"there is no run of {name} under runs/; train one, or give its folder: --from DIR")
    return found[-1].parent


def _fresh(name: str) -> Path:
    from harness.commands.run import fresh_folder

    return fresh_folder(name)
