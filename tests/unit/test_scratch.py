"""Where temporary files go when the usual folders cannot be written, as in a container with a read-only root."""

import subprocess
import sys

import pytest

from harness.cli import OK, WRONG_COMMAND

COMMAND = """
import sys, tempfile
from harness import cli
from harness.workers import scratch

tempfile._candidate_tempdir_list = lambda: ["/proc/nowhere"]
scratch.SHARED_MEMORY = sys.argv[1]
status = cli.main(sys.argv[2:])
print(tempfile.tempdir)
sys.exit(status)
"""


def command(shared_memory, *arguments):
    return subprocess.run(
        [sys.executable, "-c", COMMAND, shared_memory, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_shared_memory_takes_their_place(tmp_path):
    done = command(str(tmp_path), "check", "--impl", "numpy", "--case", "causal")
    assert done.returncode == OK and "numpy: " in done.stdout, done.stderr
    assert done.stdout.endswith(f"{tmp_path}\n")


@pytest.mark.parametrize(
    "arguments, status", [(["check", "--impl", "numpy", "--case", "causal"], WRONG_COMMAND), (["presets"], OK)]
)
def test_without_any_a_command_that_needs_one_says_so_and_others_run(arguments, status):
    done = command("/proc/nowhere", *arguments)
    assert done.returncode == status
    if status:
        assert done.stderr.count("\n") == 1 and "TMPDIR may name a folder that can be written" in done.stderr
