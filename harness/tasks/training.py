"""The trainings of a run, one after the other, each in a process of its own. The parent: it imports no framework."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harness.errors import UserError
from harness.frameworks import adapter
from harness.tasks import curves
from harness.tasks.curves import Point
from harness.tasks.messages import Finish, Finished, Opened, Predict, Predicted, Save, Train, Trained
from harness.tasks.plan import KERAS, TORCH, Notes, Result, TaskFolder, Training
from harness.workers.messages import Failed, Start
from harness.workers.process import Worker

SESSIONS = {TORCH: "harness.tasks.worker.session:TrainingSession", KERAS: "harness.tasks.worker.keras_session:KerasSession"}
MODEL_SESSIONS = {
    TORCH: "harness.tasks.worker.using:ModelSession",
    KERAS: "harness.tasks.worker.keras_session:KerasModelSession",
}
_UNTIMED, _TRIED = 5, 30
"""Steps that find out how long one takes; the first of them build kernels."""
TURN_S = 1.0
"""The parent hears of a training about so often."""
SAVING = 0.05
"""The share of the time that goes into writing the state: a killed run loses some twenty times as long as that takes."""
PATIENCE_S = 3600.0
"""A step, or the scores of a test part, may take so long."""


class Listener(Protocol):
    """Who is told how trainings go."""

    def begins(self, training: Training, opened: Opened) -> None:
        """A network is about to be trained, or goes on."""

    def learnt(self, training: Training, points: tuple[Point, ...]) -> None:
        """Some more of its curve."""

    def ended(self, result: Result) -> None:
        """What came of it."""


Launcher = Callable[[Start, dict[str, str], float], Worker]


def train(folder: TaskFolder, threads: int, listener: Listener, memory_bytes: int = 0, launcher: Launcher = Worker) -> None:
    """Carry out the trainings that have no result yet, or have failed.

    Whatever ends it, the worker is ended, and the state of some seconds ago is on disk. Raises `UserError` when nothing can
    be written.
    """
    finished = {name for name, result in folder.results().items() if not result.failed}
    for training in folder.trainings:
        if training.name in finished:
            continue
        result = _trained(training, folder, threads, listener, (memory_bytes, launcher))
        folder.add_result(result)
        listener.ended(result)


def _trained(training: Training, folder: TaskFolder, threads: int, listener: Listener, how: tuple[int, Launcher]) -> Result:
    memory_bytes, launcher = how
    with opened(training, folder, threads, memory_bytes, launcher) as worker:
        ready = worker.wait_until_ready()
        if isinstance(ready, Failed):
            return _failed(training, ready)
        said: Opened = ready.found
        listener.begins(training, said)
        step, seconds, next_save = said.step, said.seconds, 0.0
        while True:
            reply = worker.ask(Train(TURN_S, training.steps - step), PATIENCE_S)
            if not isinstance(reply, Trained):
                return _failed(training, reply)
            curves.append(folder.path, training.name, reply.points)
            listener.learnt(training, reply.points)
            if reply.points:
                step, seconds = reply.points[-1].step, reply.points[-1].seconds
            if reply.done or step >= training.steps:
                break
            if (now := time.monotonic()) > next_save:
                kept = worker.ask(Save(), PATIENCE_S)
                if isinstance(kept, Failed):
                    raise UserError(f"{kept.reason}; what was learnt until the last save is kept")
                saved = time.monotonic()
                next_save = saved + (saved - now) / SAVING
        if training.shaken:
            return Result(training.name, {}, {}, "", said.parameters, step, seconds)
        ended = worker.ask(Finish(), PATIENCE_S)
        if not isinstance(ended, Finished):
            return _failed(training, ended)
    return Result(training.name, ended.scores, ended.details, "", said.parameters, step, seconds, ended.peak_memory_bytes)


def opened(training: Training, folder: TaskFolder, threads: int, memory_bytes: int, launcher: Launcher = Worker) -> Worker:
    """A worker that is about to train."""
    folder.folder(training).mkdir(parents=True, exist_ok=True)
    variables = environment(training, threads)
    origin = training.origin
    arguments = (
        training.recipe.to_json(),
        training.attention,
        origin,
        str(folder.folder(training)),
        threads,
        training.shaken,
    )
    return launcher(Start(SESSIONS[training.session], arguments, threads, memory_bytes), variables, PATIENCE_S)


def environment(training: Training, threads: int) -> dict[str, str]:
    """The variables that what trains, and what is inside, want to find when they are imported."""
    return {
        **adapter(training.session).environment("cpu", threads),
        **adapter(training.framework).environment("cpu", threads),
    }


def _failed(training: Training, why: Failed) -> Result:
    return Result(training.name, failed=f"{why.status}: {why.reason}")


def steps_in(training: Training, seconds: float, threads: int, launcher: Launcher = Worker) -> int:
    """How many steps a training makes in so long, as some of them take. Raises `UserError` when it cannot be trained."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe = dataclasses.replace(training.recipe, steps=_TRIED)
        trial = TaskFolder(Path(scratch), [dataclasses.replace(training, recipe=recipe)], Notes())
        with opened(trial.trainings[0], trial, threads, 0, launcher) as worker:
            replies = [worker.ask(Train(seconds, count), PATIENCE_S) for count in (_UNTIMED, _TRIED - _UNTIMED)]
    for reply in replies:
        if not isinstance(reply, Trained):
            raise UserError(f"{training.name} cannot be trained: {reply.reason}")
    timed = [point.seconds for reply in replies for point in reply.points if point.part == "train"]
    return max(1, int(seconds * (len(timed) - _UNTIMED) / (timed[-1] - timed[_UNTIMED - 1])))


def predicted(run: Path, text: str, launcher: Launcher = Worker) -> tuple[str, Predicted]:
    """What a run's first model, whose name comes first, says of a text. Raises `UserError` where the run has no model."""
    folder = TaskFolder.open(run)
    found = {name for name, result in folder.results().items() if not result.failed}
    done = [one for one in folder.trainings if not one.shaken and one.name in found]
    if not done:
        raise UserError(f"{run} has no model that has been trained to its end")
    training = done[0]
    variables = environment(training, 1)
    arguments = (str(folder.folder(training)), training.attention, training.origin)
    with launcher(Start(MODEL_SESSIONS[training.session], arguments, 1, 0), variables, PATIENCE_S) as worker:
        ready = worker.wait_until_ready()
        reply = ready if isinstance(ready, Failed) else worker.ask(Predict(text), PATIENCE_S)
    if isinstance(reply, Failed):
        raise UserError(reply.reason)
    return training.name, reply
