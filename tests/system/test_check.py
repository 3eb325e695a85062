"""`harness check`: its status, and how it tells many failures of few faults."""

import csv
import re

import pytest

PLUGIN = '''
import numpy as np

from harness.registry import Supports, implementation


def formula(problem, dtype=np.float32):
    def attention(q, k, v):
        q, k, v = (x.astype(dtype) for x in (q, k, v))
        s = (q * dtype(problem.scale)) @ k.swapaxes(-1, -2)
        p = np.exp(s - s.max(axis=-1, keepdims=True, initial=-np.inf))
        total = p.sum(axis=-1, keepdims=True)
        return (p / np.where(total > 0, total, 1) @ v).astype(np.float32)
    return attention


@implementation("right")
def right(problem):
    """The formula."""
    return formula(problem)


@implementation("half")
def half(problem):
    """In float16."""
    return formula(problem, np.float16)


@implementation("stops-at-16")
def stops(problem):
    """Raises where there is more than one tile of queries, and writes its input elsewhere."""
    def attention(q, k, v):
        if problem.q_len > 16:
            raise NotImplementedError(f"{problem.q_len} queries")
        o = formula(problem)(q, k, v)
        q *= np.float32(1.0000001)
        return o
    return attention


@implementation("refuses", supports=Supports(extra_check=lambda problem: ["wants a head size of 7"]))
def refuses(problem):
    """Supports nothing."""


def more_queries(problem):
    return ["wants as many keys as queries"] if problem.kv_len < problem.q_len else []


@implementation("as-many-keys", supports=Supports(extra_check=more_queries))
def as_many_keys(problem):
    """Raises where there are more queries than keys."""
    assert not more_queries(problem)
    return formula(problem)


@implementation("nowhere", unavailable_reason=lambda device: "needs a quantum computer")
def nowhere(problem):
    """Cannot run here."""
'''


@pytest.fixture
def check(harness):
    """`harness check` of implementations of the plug-in."""
    plugin = harness.write("some.py", PLUGIN)
    return lambda *arguments: harness("check", "--plugin", plugin, *arguments)


def kinds(printed):
    """The kinds at the end of what was printed, with the number of their cases."""
    return {name: int(count) for count, name in re.findall(r"^failed, (\d+) cases?: (.*)$", printed, re.MULTILINE)}


def test_one_fault_in_sixty_cases_is_told_in_few_kinds(check, harness):
    done = check("--impl", "half", "--quiet", "--csv", "cases.csv")
    assert done.returncode == 1
    told = kinds(done.stdout)
    coarse = "small errors everywhere, like arithmetic in float16, bfloat16 or TF32"
    assert len(told) <= 3 and told[coarse] >= 50
    lines = done.stdout.splitlines()
    assert sum(line.startswith("incorrect") for line in lines) == len(told)  # The first of each kind.
    assert sum(line.lstrip().startswith("repeat: python -m harness check --impl half ") for line in lines) == 2 * len(told)
    with open(harness.folder / "cases.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "incorrect"]
    assert {row["kind"] for row in rows} == set(told)
    assert sum(row["kind"] == coarse for row in rows) == told[coarse]
    assert len({row["cause"] for row in rows}) > len(told)
    worst = max((row for row in rows if row["kind"] == coarse), key=lambda row: float(row["error_over_bound"]))
    (at,) = (n for n, line in enumerate(lines) if line.endswith(f"cases: {coarse}"))
    assert f"worst: {worst['chapter']}/{worst['case']}, {worst['problem']}: {worst['reason']}" in lines[at + 1]


def test_the_command_that_is_told_shows_the_failure_again(check):
    done = check("--impl", "half", "--quiet", "--case", "values")
    (command,) = set(re.findall(r"--case (\S+) --seed (\d+)$", done.stdout.partition("failed, ")[2], re.MULTILINE))
    again = check("--impl", "half", "--case", command[0], "--seed", command[1])
    assert again.returncode == 1 and "half: 0 passed, 1 incorrect" in again.stdout


def test_an_exception_is_a_kind_by_its_type_and_place(check):
    done = check("--impl", "stops-at-16", "--quiet", "--case", "shapes", "--case", "values")
    told = kinds(done.stdout)
    raised = next(kind for kind in told if kind.startswith("error: NotImplementedError (some.py, line "))
    assert told[raised] > 5
    assert set(told) == {raised, "an input is written to"}


def test_nothing_examined_is_no_pass(check):
    done = check("--impl", "refuses")
    assert done.returncode == 1
    sentence = re.search(r"^refuses: nothing was examined: none of (\d+) cases .*$", done.stdout, re.MULTILINE)
    assert "what it declares (f32)" in sentence[0] and f"wants a head size of 7 ({sentence[1]})" in sentence[0]


def test_a_case_that_nobody_supports_is_no_pass(check):
    done = check("--impl", "right", "--case", "mask")
    assert done.returncode == 1
    assert "right: nothing was examined: none of " in done.stdout and "no boolean mask (" in done.stdout


def test_a_case_that_one_of_them_supports_is_examined(check):
    done = check("--impl", "right,numpy", "--case", "mask/qk")
    assert done.returncode == 0
    assert "right: nothing was examined" in done.stdout and "numpy: 1 passed" in done.stdout


def test_calls_in_between_are_of_supported_problems(check):
    done = check("--impl", "as-many-keys", "--case", "calls/alternate")
    assert done.returncode == 0 and "as-many-keys: 1 passed" in done.stdout


def test_whole_suites_do_not_stand_in_for_one_another(check):
    assert check("--impl", "right").returncode == 0
    assert check("--impl", "refuses,right").returncode == 1


def test_what_cannot_run_here_was_not_examined(check):
    done = check("--impl", "nowhere")
    assert done.returncode == 1
    assert "nowhere: unavailable: needs a quantum computer" in done.stdout
    assert "nothing was examined: none of the named implementations can run here" in done.stdout
    assert check("--impl", "nowhere,right", "--case", "values/float32").returncode == 0


def test_a_package_whose_departures_name_no_case_is_a_row_with_its_error(harness):
    package = harness.folder / "their_pkg-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their_pkg\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[attention_harness.implementations]\ntheirs = their_pkg\n")
    declared = '@implementation("theirs", known_failures={"logit/overflow-*": "overflows"})'
    harness.write("their_pkg.py", f"from harness.registry import implementation\n\n{declared}\ndef theirs(problem): ...\n")
    done = harness("check", "--impl", "theirs,numpy", "--case", "values/float32")
    assert done.returncode == 1
    assert 'theirs: error: theirs: the known failure "logit/overflow-*" names no case' in done.stdout
    assert "numpy: 1 passed" in done.stdout


def test_a_run_that_measures_nothing_is_no_success(check, harness, tiny):
    plugin = harness.folder / "some.py"
    done = harness("run", "--plugin", plugin, "--impl", "refuses,nowhere", "--problems", tiny, "--out", "out")
    assert done.returncode == 1
    assert "Nothing was measured: of 2 cells 1 unsupported, 1 unavailable" in done.stdout


MOMENTARY = '''
import numpy as np
from harness.registry import Supports, implementation


@implementation("momentary", framework="numpy", supports=Supports(mask=True))
def momentary(problem):
    """Turns the sign of the caller's q while it computes, and turns it back."""

    def attention(q, k, v, mask=None):
        np.negative(q, out=q)
        s = -problem.scale * (q @ k.swapaxes(-1, -2))
        np.negative(q, out=q)
        s = s if mask is None else np.where(mask, s, -np.inf)
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    return attention
'''


def test_who_writes_to_an_input_for_a_moment_is_told_so_and_the_next_cases_run(harness):
    plugin = harness.write("momentary.py", MOMENTARY)
    done = harness("check", "--plugin", plugin, "--impl", "momentary", "--case", "arrays")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "arrays/protected" in line and line.startswith("incorrect")]
    assert lines and "an input was written to during the call" in lines[0]
    assert any(line.startswith("ok") and "arrays/protected-long" not in line for line in done.stdout.splitlines())
    after = done.stdout.partition("arrays/protected,")[2]
    assert "momentary  arrays/fused" in after
