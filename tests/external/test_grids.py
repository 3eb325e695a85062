"""The grids hold what the suites of the four projects ask for, and running them tells right from wrong."""

import csv
import math
import os
import random
import signal
import subprocess
import sys

import pytest

from harness.conformance.examiner import Examiner
from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.operators.case import Case
from harness.plugins.contender import contenders
from harness.problem import Problem
from harness.registry import EVERYTHING, Supports
from tests.external.grids import PROJECTS, __main__, covering, every, stating
from tests.external.grids.examine import SHAPES_OF_SLOW_BUILDS, Answers, sample, verdicts
from tests.external.grids.product import spread
from tests.external.subjects import REGISTRY

COVERINGS = {project: covering(project) for project in PROJECTS}

FACTS = {
    "flash-attention": (
        {"head_dim": 59},
        {"head_dim": 111},
        {"q_len": 113, "kv_len": 203},
        {"q_len": 799, "kv_len": 3, "causal": "bottom-right"},
        {"q_len": 16, "kv_len": 131072},
        {"softcap": 50.0, "direction": "backward"},
        {"softcap": 15.0},
        {"head_dim": 192, "v_head_dim": 128},
        {"head_dim": 64, "v_head_dim": 512},
        {"scale": 15 / math.sqrt(16)},
    ),
    "xformers": (
        {"head_dim": 1},
        {"head_dim": 258},
        {"head_dim": 32, "v_head_dim": 264},
        {"q_len": 65537, "kv_len": 4},
        {"q_len": 7, "kv_len": 7328, "head_dim": 120},
        {"q_len": 0},
        {"kv_len": 0},
        {"batch": 0},
        {"causal": "bottom-right", "window": (299, -1)},
        {"bias": "blocking-bhqk", "dtype": "float32"},
        {"scale": 0.1},
    ),
    "pytorch": (
        {"head_dim": 203},
        {"q_len": 143, "kv_len": 579},
        {"q_heads": 65, "kv_heads": 5},
        {"mask": "random-1h1k"},
        {"bias": "normal-b1q1"},
        {"scale": -1e4},
        {"dtype": "float64", "q_len": 1030},
        {"mask": "empty-rows-11qk", "direction": "backward"},
        {"q_len": 157, "kv_len": 6404},
        {"causal": "bottom-right"},
    ),
    "jax": (
        {"head_dim": 72},
        {"head_dim": 11, "dtype": "float64"},
        {"q_heads": 4, "kv_heads": 2, "direction": "backward"},
        {"causal": "top-left", "window": (3, 2)},
        {"bias": "normal-1hqk", "causal": "top-left"},
        {"mask": "padding", "q_len": 1},
    ),
}
"""What the public suites are known to contain."""


@pytest.mark.parametrize("project, fields", [(project, fields) for project in FACTS for fields in FACTS[project]])
def test_what_a_suite_contains_is_there(project, fields):
    assert any(all(getattr(p, name) == value for name, value in fields.items()) for p in COVERINGS[project]), fields


@pytest.mark.parametrize("project", PROJECTS)
def test_every_value_and_pair_is_covered_unless_it_is_too_long(project):
    covered = set().union(*COVERINGS[project].values())
    rng = random.Random(1)
    for grid in PROJECTS[project]:
        for pair in [*grid.values(), *grid.pairs()]:
            if pair not in covered:
                points = [point for _ in range(200) if not grid.skips(point := grid.drawn(pair, rng))]
                assert all(unaffordable(stating.stated(point)) for point in points), (grid.test, pair)


def unaffordable(problem):
    return problem is None or problem.score_elements > stating.MOST_AT_ALL


@pytest.mark.parametrize("project", PROJECTS)
def test_problems_are_unique_and_affordable(project):
    problems = COVERINGS[project]
    assert len({problem.name for problem in problems}) == len(problems) > SHAPES_OF_SLOW_BUILDS
    assert not any(unaffordable(problem) for problem in problems)


def test_the_full_product_has_each_problem_once_and_those_of_the_covering():
    names = [problem.name for problem in every("jax")]
    assert len({*names}) == len(names)
    assert {problem.name for problem in COVERINGS["jax"]} < {*names}


def test_the_problems_are_the_same_in_every_process():
    """Hashes of strings differ from process to process; a problem that failed must be found again by its name."""
    code = "from tests.external.grids import covering; print(*(problem.name for problem in covering('flash-attention')))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == [problem.name for problem in COVERINGS["flash-attention"]]


@pytest.mark.parametrize("q_len, kv_len", [(128, 217), (128, 128), (512, 511), (1, 239), (1023, 1024)])
def test_windows_lie_around_the_diagonal_that_ends_at_the_last_query_and_key(q_len, kv_len):
    for seed in range(20):
        window = stating.band_window(q_len, kv_len, random.Random(seed))
        low, high = Problem(q_len=q_len, kv_len=kv_len, head_dim=8, window=window).band
        assert low <= kv_len - q_len <= high
        assert kv_len - 1 in Problem(q_len=q_len, kv_len=kv_len, head_dim=8, window=window).visible(q_len - 1)


def test_windows_that_cannot_be_stated_are_left_out():
    assert stating.band_window(512, 256, random.Random(0)) is None


@pytest.mark.parametrize(
    "sizes, after",
    [
        ({"batch": 4, "q_heads": 6, "q_len": 113, "kv_len": 203}, (2, 2, 2)),
        ({"batch": 4, "q_heads": 6, "kv_heads": 2, "q_len": 113, "kv_len": 203}, (1, 3, 1)),
        ({"batch": 60, "q_heads": 4, "q_len": 97}, (3, 4, 4)),
        ({"batch": 12, "q_heads": 65, "kv_heads": 5, "q_len": 17, "kv_len": 100}, (1, 65, 5)),
        ({"batch": 8, "q_heads": 9, "q_len": 1023, "kv_len": 1024}, (1, 1, 1)),
        ({"batch": 8, "q_heads": 10, "kv_heads": 2, "q_len": 2048}, (1, 2, 1)),
        ({"batch": 4, "q_heads": 6, "q_len": 16, "kv_len": 18}, (4, 6, 6)),
        ({"batch": 4, "q_heads": 6, "q_len": 1, "kv_len": 2000, "head_dim": 128}, (2, 1, 1)),
    ],
)
def test_batch_and_heads_are_cut_and_nothing_else(sizes, after):
    whole = Problem(**{"head_dim": 8, **sizes}, scale=2.0, causal="bottom-right")
    cut = stating.cut(whole)
    assert (cut.batch, cut.q_heads, cut.kv_heads) == after
    assert cut.replace(batch=whole.batch, q_heads=whole.q_heads, kv_heads=whole.kv_heads) == whole


def test_the_few_hold_more_pairs_than_the_first_ones():
    pairs = list(COVERINGS["pytorch"].values())
    chosen = spread(pairs, 25)
    assert len({*chosen}) == 25
    few, first = (len(set().union(*(pairs[i] for i in indices))) for indices in (chosen, range(25)))
    assert few > first


@pytest.mark.parametrize(
    "name, most", [("jax", SHAPES_OF_SLOW_BUILDS), ("naive", SHAPES_OF_SLOW_BUILDS), ("numpy", math.inf)]
)
def test_slow_implementations_are_given_few_of_what_they_support(name, most):
    problems = COVERINGS["flash-attention"]
    given = sample(REGISTRY.implementations[name], EVERYTHING, problems)
    assert len(given) == min(len(problems), most)
    assert not [p for p in given if name == "naive" and p.score_elements > 2**20]
    forward = Supports(dtypes=("float16",), softcap=True)
    refused = [p for p in problems if forward.unsupported_reasons(p)]
    assert {*refused} <= {*sample(REGISTRY.implementations[name], forward, problems)}


def test_numpy_passes_some_of_each(tmp_path):
    small = {name: [p for p in problems if p.score_elements < 2000] for name, problems in COVERINGS.items()}
    few = {name: random.Random(0).sample(problems, min(4, len(problems))) for name, problems in small.items()}
    (contender,) = contenders(REGISTRY, ["numpy"], "cpu")
    with Examiner(contender, 1, 60) as examiner:
        for project, problems in few.items():
            found = list(verdicts(examiner, EVERYTHING, project, problems, Answers(tmp_path)))
            assert problems and [verdict.status for verdict in found] == [Status.OK] * len(problems), project


def test_answers_are_kept(tmp_path, monkeypatch):
    case = Case("grid-jax", "small", Problem(q_len=3, head_dim=4))
    first = Answers(tmp_path).of(case)["o"]
    monkeypatch.delattr("tests.external.grids.examine.expected")
    assert (Answers(tmp_path).of(case)["o"].value == first.value).all()


# --- the command -------------------------------------------------------------------------------------

ONE = next(problem.name for problem in COVERINGS["jax"] if problem.dtype == "float64")


def run(*arguments):
    return __main__.main(["--impl", "numpy", "--project", "jax", *map(str, arguments)])


def test_one_problem_is_run_and_told(capsys, tmp_path):
    assert run("--problem", ONE, "--csv", tmp_path / "rows.csv") == 0
    said = capsys.readouterr().out
    assert said.startswith("numpy ") and " jax " in said and " 1 passed " in said and "of its bound: " + ONE in said
    (row,) = csv.DictReader((tmp_path / "rows.csv").open())
    assert (row["problem"], row["status"], row["chapter"]) == (ONE, "ok", "grid-jax")


def judging(monkeypatch, outcome):
    def made_up(examiner, supports, project, problems, answers):
        for problem in problems:
            yield outcome(Case(f"grid-{project}", problem.name, problem))

    monkeypatch.setattr(__main__, "verdicts", made_up)


def test_a_failure_is_told_with_what_repeats_it_and_is_the_exit_status(capsys, monkeypatch):
    judging(monkeypatch, lambda case: Verdict(case, Status.INCORRECT, "o[0, 0, 0, 0] is 3 from the oracle"))
    assert run("--problem", ONE) == 1
    said = capsys.readouterr().out
    assert "o[0, 0, 0, 0] is 3 from the oracle" in said
    assert f"repeat: python -m tests.external.grids --impl numpy --project jax --problem {ONE}" in said
    assert "0 passed, 1 incorrect" in said


def test_what_is_unsupported_is_no_failure(capsys, monkeypatch):
    judging(monkeypatch, lambda case: Verdict(case, Status.UNSUPPORTED, "no float64"))
    assert run("--problem", ONE) == 0
    assert "0 passed, 1 unsupported" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(capsys, monkeypatch, number):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell has its background jobs ignore it.
    judging(monkeypatch, lambda case: signal.raise_signal(number))
    assert run() == 130
    assert capsys.readouterr().err == "grids: interrupted\n"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--project", "tensorflow"), 'no project is called "tensorflow"'),
        (("--impl", "nunpy"), "Did you mean numpy"),
        (("--problem", "b1"), "no problem of the default run"),
        (("--csv", __file__), "exists, and is not overwritten"),
    ],
)
def test_wrong_commands(capsys, arguments, said):
    assert run(*arguments) == 2
    assert said in capsys.readouterr().err


def test_what_is_unavailable_is_a_line_with_its_reason(capsys):
    absent = [c for c in contenders(REGISTRY, list(REGISTRY.implementations), "auto") if c.absent and not c.broken]
    if not absent:
        pytest.skip("everything can run here")
    assert run("--impl", absent[0].name, "--problem", ONE) == 0
    assert capsys.readouterr().out.startswith(f"{absent[0].name}: unavailable: {absent[0].absent}")
