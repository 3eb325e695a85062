"""A run, from a plan to its records; the same for the command line, a notebook and whatever else has a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from harness.measure.limits import measure_limits
from harness.measure.manager import Manager
from harness.measure.memory_pass import MemoryPass
from harness.measure.plan import Plan
from harness.measure.pool import Launcher
from harness.measure.stopping import is_open
from harness.models.answering import AnsweringPass
from harness.models.operator import MODEL
from harness.plugins.implementation import Implementation
from harness.records.generation import Generation
from harness.records.machine import Machine
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
        here = _machine(plan, manager, listener, launcher)
        manager.limits = here.limits
        folder.write_machine(here)
        folder.journal.add_machine(here)
        total = len(plan.problems) * len(plan.contenders)
        listener.phase("time", total, sum(not is_open(cell) for cell in finished))
        for cell in manager.cells(finished):
            cell = dataclasses.replace(cell, machine=here.name)
            folder.journal.add_cell(cell)
            listener.measured(cell)
    finally:
        manager.close()
    if plan.effort.memory:
        _measure_memory(plan, folder, listener, launcher)
    if plan.operator == MODEL.name:
        _answer(plan, folder, listener, launcher)


def _machine(plan: Plan, manager: Manager, listener: Listener, launcher: Launcher) -> Machine:
    """This machine, with what it can do at most."""
    here, rates = machine(plan.threads), manager.matmul_rates()
    limits = None
    if plan.effort.limits and any(one.device == "cpu" and not one.absent for one in plan.contenders):
        listener.doing("the limits of the processor")
        limits = measure_limits(plan.threads, launcher, plan.timeout_s)
        products = {one.dtype: one.product_flops_per_s.get(plan.threads) for one in limits.arithmetic}
        rates |= {f"cpu {dtype}": rate for dtype, rate in products.items() if rate}
    return dataclasses.replace(here, matmul_flops_per_s=rates, limits=limits)


def _measure_memory(plan: Plan, folder: RunFolder, listener: Listener, launcher: Launcher) -> None:
    memory_pass = MemoryPass(plan, folder.journal.cells, launcher)
    listener.phase("memory", memory_pass.total)
    for cell, found in memory_pass.memories():
        if isinstance(found, Failed):
            folder.journal.add_warning(cell, f"its memory could not be measured: {found.status}: {found.reason}")
        else:
            folder.journal.add_memory(cell, found)
        listener.examined(cell)


def _answer(plan: Plan, folder: RunFolder, listener: Listener, launcher: Launcher) -> None:
    answering = AnsweringPass(plan, folder.journal.cells, launcher)
    listener.phase("answering", answering.total)
    for cell, found in answering.found():
        if isinstance(found, Failed):
            folder.journal.add_warning(cell, f"answers: the model gave none: {found.status}: {found.reason}")
        elif isinstance(found, Generation):
            folder.journal.add_generation(cell, found)
        else:
            folder.journal.add_answers(cell, found)
        listener.examined(cell)
