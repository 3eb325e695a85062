"""The tables of docs/models.md, from results/models-speed and results/models-real: `python -m docs.generate.models`."""

from pathlib import Path

import pandas as pd

from docs.generate.kernels import measured
from docs.generate.pages import RESULTS, ROOT, where, write, written
from harness.analysis.estimates import Ratio
from harness.analysis.table import results
from harness.report.format import seconds
from harness.report.inside import HEADINGS, inside_rows
from harness.runs.folder import RunFolder

PAGE = ROOT / "docs" / "models.md"
OWN = ("eager", "sdpa")
"""The attentions that models bring along."""


def speed() -> str:
    """Every attention in models of true size, against the best of the models' own."""
    run = RunFolder.open(RESULTS / "models-speed").run()
    table, rows = results(run), []
    for problem, found in measured("models-speed"):
        of = table[table.problem == problem.name].set_index("implementation")
        best = min((name for name in OWN if name in found), key=lambda name: found.time(name).median_s)
        for name in sorted(found, key=lambda name: found.time(name).median_s):
            ratio = found.ratio(best, name)
            share = of.attention_share[name]
            rate, other = of.tokens_per_s[name], ratio is not None and name != best
            rows.append(
                {
                    "model and work": problem.name,
                    "attention": name,
                    "time": seconds(found.time(name).median_s),
                    "tokens/s": f"{rate:,.1f}" if rate < 1000 else f"{rate:,.0f}",
                    "× the better of eager and sdpa": _interval(ratio) if other else "1",
                    "share in attention": f"{100 * share:.0f} %",
                }
            )
    return _shown(run, "models-speed", pd.DataFrame(rows))


def _interval(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def real() -> str:
    """Models with real weights: what they answer."""
    run = RunFolder.open(RESULTS / "models-real").run()
    table = results(run)
    rows = [
        {"model": problem.name, **dict(zip(HEADINGS, row, strict=True))}
        for problem in run.problems
        for row in inside_rows(table[table.problem == problem.name])
    ]
    return _shown(run, "models-real", pd.DataFrame(rows).drop(columns=["generated"]))


def _shown(run: object, name: str, rows: pd.DataFrame) -> str:
    alignment = ["left", "left", *["right"] * (len(rows.columns) - 2)]
    shown = rows.to_markdown(index=False, disable_numparse=True, colalign=alignment)
    return f"`results/{name}` ({where(run.machine)}; [whole report](../results/{name}/report.md)):\n\n{shown}"  # type: ignore[attr-defined]


def pages() -> dict[Path, str]:
    """The page as it should be."""
    return {PAGE: written(PAGE, {"speed": speed(), "real": real()})}


if __name__ == "__main__":
    write(pages())
