"""A worker's work by hand: in one process, with nothing between a debugger and the implementation."""

from tests.system.conftest import PLUGINS, TINY_PROBLEMS

STATUSES = PLUGINS / "statuses.py"


def test_a_case_is_judged(harness):
    done = harness("worker", "--impl", "numpy", "--case", "values/float32")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok           numpy  values/float32: error ")


def test_problems_are_measured(harness):
    done = harness("worker", "--impl", "numpy", "--problems", harness.write("tiny.toml", TINY_PROBLEMS))
    assert done.returncode == 0, done.stderr
    for part in ("b1h1q16k16d8-f32", "Prepared(", "Sampled(", "Finished(", "MemoryMeasured("):
        assert part in done.stdout


def test_what_it_raises_is_seen_where_it_was_raised(harness):
    done = harness("worker", "--plugin", STATUSES, "--impl", "raises", "--case", "values/float32")
    assert done.returncode == 1
    assert 'raise RuntimeError("this kernel has no soul")' in done.stderr and "statuses.py" in done.stderr


def test_wrong_commands(harness):
    for arguments, said in (
        (("--impl", "numpy,naive"), "a worker serves one implementation"),
        (("--impl", "numpy", "--case", "values/float23"), "Did you mean values/float32"),
    ):
        done = harness("worker", *arguments)
        assert done.returncode == 2 and said in done.stderr
