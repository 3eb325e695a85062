"""Plans, timings and cells as a run would leave them, with what a test does not care about filled in."""

from harness.errors import Status
from harness.measure.plan import Effort, Plan
from harness.plugins.contender import Contender
from harness.plugins.implementation import Origin
from harness.problem import Problem
from harness.records.accuracy import Accuracy
from harness.records.cell import Cell, Memory, Timing, Turn
from harness.records.machine import Machine
from harness.records.run import Run

PROBLEM = Problem(batch=2, q_heads=4, kv_heads=2, q_len=8, kv_len=16, head_dim=32, causal="bottom-right", mask="padding")
OTHER_PROBLEM = Problem(q_heads=2, q_len=64, head_dim=16)


def plan(*names, problems=(PROBLEM,), baseline="", **changes):
    """A plan of the implementations `names` on the CPU."""
    contenders = tuple(Contender(name, "numpy", "cpu", Origin("built-in", "attention.some")) for name in names)
    values = {
        "preset": "some",
        "operator": "attention",
        "problems": tuple(problems),
        "contenders": contenders,
        "baseline": baseline,
        "threads": 2,
        "timeout_s": 60.0,
        "memory_bytes": 2**30,
        "seed": 7,
        "effort": Effort(),
    }
    return Plan(**{**values, **changes})


def run(cells, problems=(PROBLEM,), baseline="", **machine):
    """A run of what its cells are of, as it is analysed."""
    return Run(
        preset="some",
        problems=tuple(problem.posed("attention") for problem in problems),
        implementations=tuple(dict.fromkeys(cell.implementation for cell in cells)),
        baseline=baseline,
        threads=2,
        cells=tuple(cells),
        machine=Machine(**machine),
    )


def timing(*samples_s, rounds=None, disturbed=None, **changes):
    """A timing of one process, with one sample a round unless `rounds` says otherwise."""
    taken = {}
    for number, sample_s in zip(rounds or range(len(samples_s)), samples_s, strict=True):
        taken.setdefault(number, []).append(sample_s)
    said = dict(enumerate(disturbed or []))
    turns = tuple(Turn(0, number, 0, 0.0, 5, tuple(found), said.get(number, "")) for number, found in taken.items())
    return Timing(turns, **{**BESIDE, **changes})


def timing_of(times_s, **changes):
    """A timing from times by process and round."""
    turns = tuple(
        Turn(process, number, 0, 0.0, 5, (float(time_s),))
        for process, rounds in enumerate(times_s)
        for number, time_s in enumerate(rounds)
    )
    return Timing(turns, **{**BESIDE, **changes})


BESIDE = {"build_s": 0.25, "first_call_s": 0.125, "warmup_calls": 31, "stopped": "enough"}


def measured(name, *samples_s, problem=PROBLEM, memory=None, warnings=(), ratio=0.25, **changes):
    """A cell that was verified and timed."""
    return Cell(
        implementation=name,
        framework="numpy",
        device="cpu",
        problem=problem.posed("attention"),
        status=Status.OK,
        accuracy=Accuracy(3e-7, ratio, 2048, "o[0, 0, 0, 0]", 1.2e-6),
        timing=timing(*samples_s, **changes),
        memory=memory,
        warnings=tuple(warnings),
        versions={"numpy": "2.0"},
    )


def absent(name, status=Status.UNSUPPORTED, reason="no boolean mask", problem=PROBLEM, accuracy=None):
    """A cell without a time."""
    return Cell(name, "numpy", "cpu", problem.posed("attention"), status, reason, accuracy)


def memory(workspace_bytes=4096, peak=10 * 2**20):
    return Memory(peak, workspace_bytes, "VmHWM after clear_refs")
