"""The search: Optuna chooses what is tried next, and ends what does badly. The parent: it imports no framework.

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943; asynchronous: Li et al. 2020, arXiv 1810.05934): of the
trials that have come to one look at the validation part, those in the better half go on to twice as many.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from harness.errors import UserError
from harness.tasks.exploring.folder import ExploreFolder
from harness.tasks.exploring.space import SEED
from harness.tasks.messages import Finish, Finished, Opened, Train, Trained
from harness.tasks.plan import TaskFolder, Training
from harness.tasks.training import PATIENCE_S, TURN_S, opened
from harness.workers.messages import Failed

JOURNAL = "trials.log"
TEST = "test_"
"""Before the name of a score of the test part."""
GRID, TPE, RANDOM = SAMPLERS = ("grid", "tpe", "random")

_HALVES = 2
_FIRST_LOOK = 2
"""Looks at the validation part before the first halving."""


class Search:
    """A search in a folder; what an earlier session of it has found is there."""

    def __init__(self, folder: ExploreFolder):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        space, self._folder, seed = folder.space, folder.path, folder.space.recipe.seed
        self._space = space
        values = {**space.values, SEED: list(range(space.seeds))}
        samplers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
            GRID: lambda: optuna.samplers.GridSampler(values, seed=seed),
            TPE: lambda: optuna.samplers.TPESampler(seed=seed),
            RANDOM: lambda: optuna.samplers.RandomSampler(seed=seed),
        }
        self._values = values
        self.study = optuna.create_study(
            study_name="explore",
            storage=JournalStorage(JournalFileBackend(str(self._folder / JOURNAL))),
            sampler=samplers[folder.sampler](),
            pruner=(
                optuna.pruners.SuccessiveHalvingPruner(min_resource=_FIRST_LOOK, reduction_factor=_HALVES)
                if folder.halving
                else optuna.pruners.NopPruner()
            ),
            direction="maximize",
            load_if_exists=True,
        )
        for trial in self.study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # Of a session that was killed.
            self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def run(self, attention: Training, threads: int, until: float, told: Callable[[optuna.trial.FrozenTrial], None]) -> None:
        """Try until that moment of the monotonic clock, or until all has been tried. `attention` says what is inside."""
        sampler = self.study.sampler
        if isinstance(sampler, optuna.samplers.GridSampler) and sampler.is_exhausted(self.study):
            return
        try:
            self.study.optimize(
                lambda trial: self._tried(trial, attention, threads, until),
                timeout=max(0.0, until - time.monotonic()),
                catch=(UserError,),
                callbacks=[lambda study, trial: told(trial)],
            )
        except RuntimeError as error:  # From a callback of Optuna's journal.
            raise UserError(f"cannot write {self._folder / JOURNAL}: {error}") from None

    def _tried(self, trial: optuna.Trial, attention: Training, threads: int, until: float) -> float:
        """The accuracy on the validation part of the model that a recipe comes to."""
        chosen = {name: trial.suggest_categorical(name, some) for name, some in self._values.items()}
        try:
            recipe = self._space.recipe_of(chosen)
        except UserError as error:
            trial.set_user_attr("reason", str(error))
            raise optuna.TrialPruned from None
        one = dataclasses.replace(attention, name=f".trial-{trial.number}", recipe=recipe)
        folder = TaskFolder(self._folder, [one], {})  # The vocabulary that the first trial learns is there for all.
        try:
            with opened(one, folder, threads, 0) as worker:
                ready = worker.wait_until_ready()
                if isinstance(ready, Failed):
                    raise UserError(ready.reason)
                said: Opened = ready.found
                trial.set_user_attr("parameters", said.parameters)
                return self._looked_at(trial, worker, until)
        finally:
            shutil.rmtree(folder.folder(one), ignore_errors=True)

    def _looked_at(self, trial: optuna.Trial, worker: Any, until: float) -> float:
        accuracy, least, looks = 0.0, math.inf, 0
        while True:
            reply = worker.ask(Train(TURN_S, 10**9), PATIENCE_S)
            if not isinstance(reply, Trained):
                trial.set_user_attr("reason", reply.reason)
                raise UserError(reply.reason)
            for point in reply.points:
                if point.part == "validation":
                    looks += 1
                    if point.loss < least:  # What is scored in the end is the model of the least loss.
                        accuracy, least = point.accuracy, point.loss
                    trial.set_user_attr("seconds", point.seconds)
                    trial.report(point.accuracy, looks)
            if reply.done:
                ended = worker.ask(Finish(), PATIENCE_S)
                if isinstance(ended, Finished):
                    trial.set_user_attr("peak_memory_bytes", ended.peak_memory_bytes)
                    for name, value in ended.scores.items():
                        trial.set_user_attr(f"{TEST}{name}", value)
                return accuracy
            if trial.should_prune():
                raise optuna.TrialPruned
            if time.monotonic() > until:
                trial.set_user_attr("reason", "the time was over")
                raise optuna.TrialPruned
