"""A run, from a plan to its records; the same for the command line, a notebook and whatever else has a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from harness.measure.manager import Manager
from harness.measure.memory_pass import MemoryPass
from harness.measure.plan import Plan
from harness.measure.pool import Launcher
from harness.plugins.implementation import Implementation
from harness.runs.environment import machine
from harness.runs.folder import RunFolder
from harness.runs.listener import Listener, Silent
from harness.workers.messages import Failed
from harness.workers.process import Worker

SILENT = Silent()


def execute(
    plan: Plan,
    folder: RunFolder,
    implementations: Mapping[str, Implementation],
    listener: Listener = SILENT,
    launcher: Launcher = Worker,
) -> None:
    """Carry out what the folder's journal does not hold yet.

    Whatever ends it, `KeyboardInterrupt` too, the workers are ended, and what was measured is in the journal. Raises
    `UserError` when that cannot be written.
    """
    folder.journal.mend()
    finished = folder.journal.cells
    manager = Manager(plan, implementations, listener.doing, launcher)
    try:
        here = machine(plan.threads)
        here = dataclasses.replace(here, matmul_flops_per_s=manager.matmul_rates())
        folder.write_machine(here)
        folder.journal.add_machine(here)
        for cell in finished:
            manager.remember(cell)
        total, done = len(plan.problems) * len(plan.contenders), {cell.key for cell in finished}
        listener.phase("time", total, len(done))
        if len(done) < total:
            manager.load()
        for cell in manager.cells(done):
            cell = dataclasses.replace(cell, machine=here.name)
            folder.journal.add_cell(cell)
            listener.measured(cell)
    finally:
        manager.close()
    _measure_memory(plan, folder, listener, launcher)


def _measure_memory(plan: Plan, folder: RunFolder, listener: Listener, launcher: Launcher) -> None:
    memory_pass = MemoryPass(plan, folder.journal.cells, launcher)
    listener.phase("memory", memory_pass.total)
    for cell, found in memory_pass.memories():
        if isinstance(found, Failed):
            folder.journal.add_warning(cell, f"its memory could not be measured: {found.status}: {found.reason}")
        else:
            folder.journal.add_memory(cell, found)
        listener.memory_measured(cell)
