"""The search: what is tried next, and what is ended because it does badly. The parent: it imports no framework.

Recipes are tried with one seed first. What comes to its end is trained with the other seeds then, the best first: the noise
between seeds is known where it matters. A first training whose accuracy at some look at the validation part is below the
median of those that came to their end is ended (Golovin et al. 2017, Google Vizier, KDD). Asynchronous successive halving
(arXiv 1810.05934) left one recipe of eight: what follows a good first one has to beat it at each rung.
"""

from __future__ import annotations

import dataclasses
import math
import random
import shutil
import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from harness.errors import UserError, describe
from harness.records.files import read_whole
from harness.records.typed import is_whole
from harness.tasks.exploring.folder import GRID, TPE, ExploreFolder
from harness.tasks.exploring.space import SEED, Space
from harness.tasks.messages import Finish, Finished, Opened, Train, Trained
from harness.tasks.plan import Notes, TaskFolder, Training
from harness.tasks.training import PATIENCE_S, TURN_S, Launcher, opened
from harness.workers.messages import Failed
from harness.workers.process import Worker

JOURNAL = "trials.log"
TEST = "test_"
"""Before the name of a score of the test part."""
REASON = "reason"
"""Why a training has no accuracy."""

_FIRST_LOOK, _TO_THEIR_END = 2, 4
"""At which look at the validation part a training may be ended for the first time, and how many never are."""

_SEARCHING = 2 / 3
"""Of the time, before other seeds are trained; where there are none, all of it."""

_TIME_OVER = "the time was over"
COMPLETE, PRUNED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED


class Search:
    """A search in a folder; what an earlier session of it has found is there."""

    def __init__(self, folder: ExploreFolder):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._folder, self._grid = folder.space, folder.path, folder.sampler == GRID
        self.study = _study(folder)
        for trial in self.study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # Of a session that was killed.
            self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        self._first = len(self.study.trials)

    def run(
        self,
        attention: Training,
        threads: int,
        until: float,
        told: Callable[[optuna.trial.FrozenTrial], None],
        launcher: Launcher = Worker,
    ) -> None:
        """Try until that moment of the monotonic clock, or until all has been tried. `attention` says what is inside."""

        def starting(one: Training, folder: TaskFolder) -> Worker:
            return opened(one, folder, threads, 0, launcher)

        begin = time.monotonic()
        searching_until = begin + (until - begin) * (_SEARCHING if self._space.seeds > 1 else 1)
        try:
            while time.monotonic() < until and self._chosen(time.monotonic() < searching_until):
                self.study.optimize(
                    lambda trial: self._tried(trial, attention, until, starting),
                    n_trials=1,
                    catch=(UserError,),
                    callbacks=[lambda study, trial: told(trial)],
                )
        except RuntimeError as error:  # From a callback of Optuna's journal.
            raise UserError(f"cannot write {self._folder / JOURNAL}: {error}") from None

    def _chosen(self, searching: bool) -> bool:
        """Put down what is tried next, unless the sampler chooses it. False where nothing is left."""
        trials = self.study.trials
        if any(trial.state == optuna.trial.TrialState.WAITING for trial in trials):  # Of a session that was killed.
            return True
        tried = {self._key(trial) for trial in trials if self._counts(trial)}
        complete = sorted((one for one in trials if one.state == COMPLETE), key=lambda one: one.value, reverse=True)
        seeds = [(one.params, seed) for one in complete for seed in range(self._space.seeds)
                 if (*self._key(one)[:-1], seed) not in tried]  # fmt: skip
        first = [(values, 0) for values in self._combinations() if (*values.values(), 0) not in tried] if self._grid else []
        left = [*first, *seeds] if searching else [*seeds, *first]
        if not self._grid and (searching or not seeds):
            return True
        if left:
            values, seed = left[0]
            own = {name: values[name] for name in self._space.values}
            self.study.enqueue_trial(own, user_attrs={SEED: seed})
        return bool(left)

    def _combinations(self) -> list[dict[str, Any]]:
        """Those that are recipes, in an order that the seed decides: the first ones are like the others."""
        found = list(self._space.fitting())
        random.Random(self._space.recipe.seed).shuffle(found)
        return found

    def _key(self, trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
        return (*(trial.params.get(name) for name in self._space.values), seed_of(trial))

    def _counts(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether a training need not be tried again: it ended by itself, or in this session."""
        if trial.number >= self._first:
            return True
        return trial.state == COMPLETE or (trial.state == PRUNED and trial.user_attrs.get(REASON) != _TIME_OVER)

    def _tried(
        self, trial: optuna.Trial, attention: Training, until: float, opened: Callable[[Training, TaskFolder], Worker]
    ) -> float:
        """The accuracy on the validation part of the model that a recipe comes to."""
        chosen = {name: trial.suggest_categorical(name, some) for name, some in self._space.values.items()}
        try:
            recipe = self._space.recipe_of({**chosen, SEED: seed_of(trial)})
        except UserError as error:
            trial.set_user_attr(REASON, str(error))
            raise optuna.TrialPruned from None
        one = dataclasses.replace(attention, name=f".trial-{trial.number}", recipe=recipe)
        folder = TaskFolder(self._folder, [one], Notes())  # The vocabulary that the first trial learns is there for all.
        try:
            with opened(one, folder) as worker:
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
                trial.set_user_attr(REASON, reply.reason)
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
            if seed_of(trial) == 0 and trial.should_prune():
                raise optuna.TrialPruned
            if time.monotonic() > until:
                trial.set_user_attr(REASON, _TIME_OVER)
                raise optuna.TrialPruned


def _study(folder: ExploreFolder) -> optuna.Study:
    """Optuna's, with the trials in its journal. Raises `UserError` where that cannot be read: Optuna checks little of it."""
    seed, journal = folder.space.recipe.seed, folder.path / JOURNAL
    tpe, halving = folder.sampler == TPE, folder.halving
    try:
        if journal.exists():
            read_whole(journal)  # Which refuses what is no file.
        study = optuna.create_study(
            study_name="explore",
            storage=JournalStorage(JournalFileBackend(str(journal))),
            sampler=optuna.samplers.TPESampler(seed=seed) if tpe else optuna.samplers.RandomSampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(_TO_THEIR_END, _FIRST_LOOK) if halving else optuna.pruners.NopPruner(),
            direction="maximize",
            load_if_exists=True,
        )
        wrong = [trial.number for trial in study.trials if not _is_sound(trial, folder.space)]
    except OSError as error:
        raise UserError(f"cannot use {journal}: {error.strerror}") from None
    except Exception as error:
        raise UserError(f"{journal} is damaged: {describe(error)}; begin a search in another folder") from None
    if wrong:
        raise UserError(f"{journal} is damaged: trial {wrong[0]} is none of this search; begin one in another folder")
    return study


def _is_sound(trial: optuna.trial.FrozenTrial, space: Space) -> bool:
    """Whether a trial that was read is one that this search can have made."""
    told = {name: value for name, value in trial.user_attrs.items() if name != REASON}
    numbers = [*told.values(), *trial.intermediate_values.values(), seed_of(trial)]
    numbers += [trial.value] if trial.value is not None or trial.state == COMPLETE else []
    return (
        all(is_whole(one) or isinstance(one, float) for one in numbers)
        and all(map(is_whole, trial.intermediate_values))
        and isinstance(trial.user_attrs.get(REASON, ""), str)
        and all(value in space.values[name] for name, value in trial.params.items() if name != SEED)
    )


def seed_of(trial: optuna.trial.FrozenTrial | optuna.Trial) -> int:
    """The seed of a training: 0 of the first of a recipe. It was a parameter in searches of before."""
    return int(trial.user_attrs.get(SEED, trial.params.get(SEED, 0)))
