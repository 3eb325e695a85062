"""The suite in somebody else's repository, exactly as docs/conformance.md says it is run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


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


def run(folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
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
    done = run(elsewhere, *one_line(), "-k", "test_case")
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
    assert "values/float32 first: It equals the formula without the scale." in done.stdout


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
