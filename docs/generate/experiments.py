"""The experiments of docs/measuring.md, from results/twins and results/agreement: `python -m docs.generate.experiments`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from docs.generate.pages import RESULTS, ROOT, where, write, written
from harness.records.machine import Machine
from harness.report.format import seconds

PAGE = ROOT / "docs" / "measuring.md"


def machine(folder: Path) -> str:
    """Where and when an experiment was made."""
    return where(Machine.from_json(json.loads((folder / "environment.json").read_text(encoding="utf-8"))))


def twins() -> str:
    """How often equal kernels were told apart, and slower ones seen."""
    folder = RESULTS / "twins"
    table = pd.read_csv(folder / "verdicts.csv")
    equal = table.name.str.startswith("twin-")
    rows = [
        {
            "length": length,
            "equal: `same`": _share(of[equal[of.index]].verdict == "same"),
            "2 % more: `slower`": _share(of[of.name == "more-2"].verdict == "slower"),
            "5 % more: `slower`": _share(of[of.name == "more-5"].verdict == "slower"),
            "±95 %": f"{100 * ((of.high - of.low) / 2 / of.ratio).median():.1f} %",
        }
        for length, of in table.groupby("length")
    ]
    shown = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=["right"] * 5)
    apart = table[equal & table.verdict.isin(["slower", "faster"])]
    command = f"python -m tests.benchmarks.twins {table.run.max()}"
    return (
        f"`{command}` ({machine(folder)}), {table.pair_s.median():.1f} s a pair:\n\n{shown}\n\n"
        f"Of {equal.sum()} comparisons of equal kernels, {len(apart)} told them apart."
    )


def agreement() -> str:
    """How many times as long other timers say that calls take."""
    folder = RESULTS / "agreement"
    table = pd.read_csv(folder / "times.csv")
    logs = np.log(table.pivot(index=["implementation", "length", "time"], columns="timer", values="median_s"))
    rows = []
    for (name, length), of in logs.groupby(["implementation", "length"]):
        row = {"implementation": name, "length": length, "here": seconds(float(np.exp(of.harness.mean())))}
        rows.append(row | {other: _ratio(of[timer] - of.harness) for timer, other in TIMERS.items()})
    shown = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=["left", *["right"] * 4])
    command = f"python -m tests.benchmarks.agreement {table.time.max() + 1}"
    return f"`{command}` ({machine(folder)}); times against those measured here, with 95 % intervals:\n\n{shown}"


TIMERS = {"pyperf": "pyperf", "pytest_benchmark": "pytest-benchmark"}


def _ratio(logs: pd.Series) -> str:
    mean, half = logs.mean(), stats.t.ppf(0.975, len(logs) - 1) * logs.sem()
    return f"{np.exp(mean):.2f}× ({np.exp(mean - half):.2f} to {np.exp(mean + half):.2f})"


def _share(holds: pd.Series) -> str:
    return f"{holds.sum()} of {len(holds)}"


def pages() -> dict[Path, str]:
    """The page as it should be."""
    return {PAGE: written(PAGE, {"twins": twins(), "agreement": agreement()})}


if __name__ == "__main__":
    write(pages())
