"""The experiments of docs/measuring.md, from results/twins and results/agreement: `python -m docs.generate.experiments`."""

import json
from pathlib import Path

import pandas as pd

from docs.generate.pages import RESULTS, ROOT, where, write, written
from harness.records.machine import Machine

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


def _share(holds: pd.Series) -> str:
    return f"{holds.sum()} of {len(holds)}"


def pages() -> dict[Path, str]:
    """The page as it should be."""
    return {PAGE: written(PAGE, {"twins": twins()})}


if __name__ == "__main__":
    write(pages())
