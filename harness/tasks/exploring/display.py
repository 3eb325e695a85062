"""What a search says while it goes on: a line for each trial that has ended."""

from __future__ import annotations

import time

import optuna
from rich.console import Console

from harness.tasks.exploring.search import COMPLETE, REASON, seed_of
from harness.tasks.exploring.space import SEED, Space


class Display:
    """Trials as they end, with what is left of the time."""

    def __init__(self, console: Console, space: Space, seconds: float):
        self._console, self._space = console, space
        self._until = time.monotonic() + seconds

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to be done."""

    def tried(self, trial: optuna.trial.FrozenTrial) -> None:
        """A trial has ended."""
        chosen = ", ".join(f"{name} {value}" for name, value in {**trial.params, SEED: seed_of(trial)}.items())
        left = max(0.0, self._until - time.monotonic())
        said = trial.user_attrs.get(REASON, "ended early")
        if trial.value is not None:
            said = f"accuracy {trial.value:.3f}" + ("" if trial.state == COMPLETE else f", {said}")
        self._console.print(
            f"{trial.number + 1}: {chosen}: {said}; {left / 60:.0f} min left", soft_wrap=True, highlight=False
        )
