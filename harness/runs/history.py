"""Earlier runs of a machine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness.analysis.comparison import differences
from harness.errors import UserError
from harness.records.run import Run
from harness.runs.baselines import BASELINES, RUNS
from harness.runs.folder import RunFolder

FOLDERS = (RUNS, BASELINES)


def earlier_runs(new: Run, folders: Collection[Path] = FOLDERS) -> list[Run]:
    """The runs in these folders, on the machine of `new` and before it, with its settings; the oldest first.

    A run that was copied counts once. What is no run, or cannot be read, is left out.
    """
    found: dict[str, Run] = {}
    for path in sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir()):
        if not (path / "plan.json").exists():
            continue
        try:
            run = RunFolder.open(path).run()
        except UserError:
            continue
        machines, _ = differences(run, new)
        same = not machines and run.settings == new.settings
        if same and run.machine.date and run.machine.date < new.machine.date:
            found[run.machine.date] = run
    return [run for _, run in sorted(found.items())]
