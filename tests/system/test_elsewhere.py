"""The suite in somebody else's repository, exactly as docs/conformance.md says it is run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def elsewhere(tmp_path):
    """A repository with the page's package in it."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "kernels.py").write_text(next(code for code in blocks("python") if "@implementation" in code))
    return tmp_path


def run(folder, *arguments, processes=0):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    xdist = ["-n", str(processes), "--dist", "load"] if processes else ["-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *xdist, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def one_line():
    return next(line for line in PAGE.read_text().splitlines() if line.startswith("pytest --pyargs")).split()[1:]


def break_it(folder, old, new):
    path = folder / "my_package" / "kernels.py"
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


def test_the_one_line_passes_for_the_page_s_example(elsewhere):
    done = run(elsewhere, *one_line())
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 100


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("(problem.scale * q)", "q", "It equals the formula without the scale."),
        ("np.where(mask, scores, -np.inf)", "np.where(mask, -np.inf, scores)", "with the boolean mask inverted"),
        ("dtype=bool), scores", "k=-1, dtype=bool), scores", "with a strict causal mask"),
        ("axis=-1, keepdims=True)\n        return", "axis=-2, keepdims=True)\n        return", "over the queries"),
        ("np.exp(scores - np.where(np.isfinite(top), top, 0))", "np.exp(scores)", "subtract the row's maximum"),
        ("np.where(total > 0, total, 1)", "total", "as nan, not zero"),
    ],
)
def test_an_everyday_mistake_is_rejected_with_its_cause(elsewhere, old, new, cause):
    break_it(elsewhere, old, new)
    done = run(elsewhere, *one_line(), "-k", "test_case and (values or mask or causal or logits or empty)")
    assert done.returncode == 1
    assert cause in done.stdout
    assert "repeat: python -m harness check --impl mine --plugin" in done.stdout


def test_the_fixture_says_what_was_found(elsewhere):
    test = next(code for code in blocks("python") if "conformance(" in code)
    (elsewhere / "test_mine.py").write_text(test)
    assert run(elsewhere, "test_mine.py").returncode == 0
    break_it(elsewhere, "(problem.scale * q)", "q")
    done = run(elsewhere, "test_mine.py")
    assert done.returncode == 1
    (kind,) = re.findall(r"failed, (\d+) cases: the formula without the scale", shown(done))
    assert int(kind) > 100
    assert "It equals the formula without the scale." in done.stdout and "repeat: python -m harness check" in done.stdout
    assert re.search(r"mine: \d+ passed, \d+ incorrect", done.stdout)


def outcomes(done):
    """Such as {"failed": 1, "xfailed": 40}."""
    return {outcome: int(count) for count, outcome in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}


def shown(done):
    """What is printed before pytest's short summary, which repeats all of a failure where CI is set."""
    return done.stdout.partition(" short test summary")[0]


SOME = ["-k", "test_case and (values or shapes)"]


def summary(done):
    """The section at the end: (implementation, cases, kind) of each."""
    section = shown(done).partition(" kinds of failures ")[2]
    assert section.count("worst: ") == section.count("repeat: python -m ")
    return re.findall(r"^(\S+)  (\d+) cases?: (.*)$", section, re.MULTILINE)


def test_of_one_kind_one_case_fails_and_the_others_name_it(elsewhere):
    break_it(elsewhere, "(problem.scale * q)", "q")
    done = run(elsewhere, *one_line(), *SOME, "-rfx")
    assert done.returncode == 1
    (first,) = re.findall(r"^FAILED \S*test_case\[mine-(\S+)\]", done.stdout, re.MULTILINE)
    others = re.findall(r"^XFAIL .* - (.*)$", done.stdout, re.MULTILINE)
    assert set(others) == {f"as {first}: the formula without the scale"}
    assert outcomes(done)["failed"] == 1 and outcomes(done)["xfailed"] == len(others) > 20
    assert shown(done).count("It equals the formula without the scale.") == 1
    assert summary(done) == [("mine", str(1 + len(others)), "the formula without the scale")]


def test_in_groups_one_process_has_all_cases_of_an_implementation(elsewhere):
    done = run(elsewhere, *one_line(), "-k", "test_case and values", "-vv", "--dist", "loadgroup", processes=2)
    assert done.returncode == 0
    processes = re.findall(r"^\[(gw\d)\] .* PASSED", done.stdout, re.MULTILINE)
    assert len(processes) > 5 and len(set(processes)) == 1


def test_each_process_has_a_first_failure_and_the_summary_counts_them_all(elsewhere):
    break_it(elsewhere, "(problem.scale * q)", "q")
    done = run(elsewhere, *one_line(), *SOME, processes=2)
    found = outcomes(done)
    assert done.returncode == 1 and 1 <= found["failed"] <= 2
    assert summary(done) == [("mine", str(found["failed"] + found["xfailed"]), "the formula without the scale")]


@pytest.mark.parametrize("option", ["--every-failure", "--runxfail"])
def test_on_request_every_failing_case_fails(elsewhere, option):
    break_it(elsewhere, "(problem.scale * q)", "q")
    found = outcomes(run(elsewhere, *one_line(), *SOME, option))
    assert found["failed"] > 20 and "xfailed" not in found


def test_problems_drawn_at_random_are_grouped_with_the_cases(elsewhere):
    break_it(elsewhere, "(problem.scale * q)", "q")
    done = run(elsewhere, *one_line(), "-k", "values-float32 or values/float32 or random-values")
    assert (outcomes(done)["failed"], outcomes(done)["xfailed"]) == (1, 1)


DECLARED = 'supports=Supports(dtypes=("float32",), causal=("top-left",), mask=True)'
REFUSING = f'{DECLARED[:-1]}, extra_check=lambda problem: ["wants a head size of 7"])'
ABSENT = f'{DECLARED}, unavailable_reason=lambda device: "needs a quantum computer"'
MISNAMED = f'{DECLARED}, known_failures={{"logit/*": "overflows"}}'


def fixture_test(folder):
    (folder / "test_mine.py").write_text(next(code for code in blocks("python") if "conformance(" in code))
    return run(folder, "test_mine.py")


def test_nothing_examined_is_no_pass(elsewhere):
    break_it(elsewhere, DECLARED, REFUSING)
    whole = run(elsewhere, *one_line())
    assert whole.returncode == 1 and outcomes(whole)["failed"] == 1
    for done in (whole, fixture_test(elsewhere)):
        assert done.returncode == 1
        assert "mine: nothing was examined: none of " in done.stdout and "wants a head size of 7" in done.stdout


def test_what_cannot_run_here_is_skipped_with_its_reason(elsewhere):
    break_it(elsewhere, DECLARED, ABSENT)
    whole = run(elsewhere, *one_line(), "-rs")
    for done in (whole, fixture_test(elsewhere)):
        assert done.returncode == 0 and "skipped" in outcomes(done)
    assert "mine: needs a quantum computer" in whole.stdout


def test_departures_that_name_no_case_are_one_sentence(elsewhere):
    break_it(elsewhere, DECLARED, MISNAMED)
    whole, one = run(elsewhere, *one_line()), fixture_test(elsewhere)
    assert (whole.returncode, one.returncode) == (4, 1)
    for done in (whole, one):
        said = done.stdout + done.stderr
        assert 'the known failure "logit/*" names no case' in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("my_package.kernels:mina", "declares no implementation called mina; it declares mine"),
        ("my_package.kernel:mine", "my_package.kernel cannot be imported"),
        ("my_package", "it should be package.module:name or file.py:name"),
        ("my_package.kernels:np", "is not declared; decorate the function"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(elsewhere, where, sentence):
    done = run(elsewhere, "--pyargs", "harness.conformance", "--implementation", where)
    assert done.returncode == 4
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_name_it_says_how_to_give_one(elsewhere):
    done = run(elsewhere, "--pyargs", "harness.conformance")
    assert done.returncode != 0
    assert "--implementation package.module:name" in done.stdout + done.stderr


# --- folders of the same name ------------------------------------------------------------------------


@pytest.fixture
def namesakes(tmp_path):
    """Another project, with a `harness` and an `impls` of its own."""
    for name in ("harness", "impls"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = {name!r}\n")
    (tmp_path / "test_mine.py").write_text("import harness\n\n\ndef test_mine():\n    assert harness.MINE\n")
    return tmp_path


def test_another_project_s_harness_is_nothing_to_pytest(namesakes):
    done = run(namesakes, "test_mine.py")
    assert done.returncode == 0, done.stdout
    named = run(namesakes, "test_mine.py", "--implementation", "my_package.kernels:mine")
    assert named.returncode == 4
    assert f"another package called harness, {namesakes / 'harness'}, stands in the way" in named.stdout + named.stderr


def test_a_test_of_another_project_that_asks_for_the_fixture_is_told(namesakes):
    (namesakes / "test_mine.py").write_text("def test_mine(conformance):\n    conformance('a.b:c')\n")
    done = run(namesakes, "test_mine.py")
    assert done.returncode == 1
    assert "stands in the way of attention-harness" in done.stdout and "Traceback" not in done.stdout


def command(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_another_project_s_harness_is_said_to_be_in_the_way(namesakes):
    done = command(namesakes, "attention_harness", "list")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and f"{namesakes / 'harness'}, stands in the way" in done.stderr


def test_another_project_s_impls_are_not_taken_for_ours(namesakes):
    shutil.rmtree(namesakes / "harness")
    for name in ("harness", "attention_harness"):
        done = command(namesakes, name, "list", "--json")
        names = {entry["name"] for entry in json.loads(done.stdout)}
        assert {"naive", "numpy", "numba-flash"} <= names and len(names) > 20


def test_the_public_api_has_one_name_of_its_own(namesakes):
    code = (
        "from attention_harness import EVERYTHING, Differentiable, Implementation, Problem, Supports, implementation, masks"
    )
    shutil.rmtree(namesakes / "harness")
    done = command(namesakes, "timeit", "-n1", "-r1", code)
    assert done.returncode == 0, done.stderr
