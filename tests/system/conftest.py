"""Starting the real command as a user would."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).parent / "plugins"
PATIENCE_S = 240

TINY_PROBLEMS = """
[tiny]
[tiny.effort]
limits = false
processes = 1
rounds = 2
min_rounds = 2
turn_s = 0.004
sample_s = 0.001
warmup_s = 0.004
cell_s = 0.02
budget_s = 5.0
[[tiny.problems]]
heads = 1
length = 16
head_dim = 8
"""


def _heed_interrupts():
    """As in a terminal: a shell that starts the tests in the background has them ignore Ctrl-C, and so their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Harness:
    """`python -m harness`, run in an empty folder."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def environment(self):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}

    def start(self, *arguments, limits=None, **options):
        """Start the command, perhaps with limits of `resource`, and return at once."""

        def prepare():
            _heed_interrupts()
            for limit, value in (limits or {}).items():
                resource.setrlimit(limit, (value, value))

        command = [sys.executable, "-m", "harness", *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=prepare,
            **options,
        )

    def __call__(self, *arguments):
        """Run the command to its end: exit status, what it printed, what it complained of."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def results(self, folder):
        """results.csv by (implementation, problem)."""
        table = pd.read_csv(self.folder / folder / "results.csv", keep_default_na=False, na_values=[""])
        return table.set_index(["implementation", "problem"], drop=False)


@pytest.fixture
def harness(tmp_path):
    return Harness(tmp_path)


@pytest.fixture
def tiny(harness):
    """A file with one tiny problem."""
    return harness.write("tiny.toml", TINY_PROBLEMS)
