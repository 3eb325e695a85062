"""Machines and terminals as they are: no home, no name, nothing that can be written, no characters, nobody who reads."""

import contextlib
import csv
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.attacks.folders import PROBLEMS
from tests.attacks.kind import ROOT, Done, NotHereError, Scene, orderly

ANOTHER = 65527
"""A user without an account."""
_AS_ANOTHER = (
    shutil.which("setpriv") or "", f"--reuid={ANOTHER}", f"--regid={ANOTHER}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
"""Who may read everything, as an interpreter may lie anywhere, and write nothing of others."""

ANYBODY = (
    ("list",), ("presets",), ("data", "list"), ("report", "run"), ("compare", "run", "run"),
    ("baseline", "save", "mine", "run"), ("check", "--impl", "numba-flash", "--case", "causal"),
    ("conventions", "--impl", "numpy"),
    ("tune", "--impl", "numba-flash", "--problems", "tiny.toml"), ("frontier", "--impl", "numpy", "--longest", "256"),
    ("model", "--model", "tiny-bert", "--impl", "eager", "--processes", "1"),
    ("task", "recall", "--steps", "3", "--seeds", "1", "--out", "trained"),
    ("explore", "--task", "recall", "--layers", "1,2", "--steps", "3", "--minutes", "0.1", "--out", "searched"),
)  # fmt: skip
"""What the same user can do afterwards."""

REDIRECTIONS = ("> /dev/full", ">&-", "| head -c 10", "> /dev/null 2> /dev/full", "2>&-", "< /dev/null", "<&-")
LOCALES: tuple[dict[str, str], ...] = (
    {}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"},
    {"COLUMNS": "20"}, {"TERM": "dumb"}, {"LC_ALL": "xx_XX.nonsense"},
)  # fmt: skip


def output(scene: Scene, draw: random.Random) -> str:
    """Standard output is full, closed, or left; the locale has no characters. What was measured is in the files."""
    scene.write("tiny.toml", PROBLEMS.replace("[8, 16]", "8"))
    redirection, locale = draw.choice(REDIRECTIONS), draw.choice(LOCALES)
    verb = draw.choice(("run", "run", "list", "check"))
    command = {
        "run": "run --impl numpy,jax --problems tiny.toml --out run",
        "list": "list",
        "check": "check --impl numpy --case causal --quiet",
    }[verb]
    done = _shell(scene, f"{sys.executable} -m harness {command} {redirection}", locale)
    said = "" if "Traceback" not in done.out + done.err and done.status in (0, 1, 141) else done.whole
    if verb == "run" and not said:
        said = _complete(scene.folder / "run")
    return said and f"{verb} {redirection} {locale}: {said}"


def _shell(scene: Scene, command: str, environment: dict[str, str], **options: object) -> Done:
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        ["bash", "-c", command], cwd=scene.folder, env=whole, capture_output=True, text=True, errors="replace", timeout=120,
        check=False, **options,  # type: ignore[call-overload]
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def _complete(folder: Path) -> str:
    for name in ("results.csv", "report.md", "samples.csv"):
        try:
            (folder / name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            return f"{name}: {error}"
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        statuses = [row["status"] for row in csv.DictReader(file) if row["implementation"] == "numpy"]
    return "" if statuses == ["ok"] else f"numpy is {statuses}"


def full_disk(scene: Scene, draw: random.Random) -> str:
    """No file may be larger than so much, as on a disk that is full: a sentence, and what was written before is kept."""
    scene.write("tiny.toml", PROBLEMS)
    most = draw.randrange(30_000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    command = ("run", "--impl", "numpy,numpy-online", "--problems", "tiny.toml", "--out", "run")
    done = scene.run(*command, environment=environment, preexec_fn=limit)
    if said := orderly(done):
        return f"{most} bytes: {said}"
    if not (scene.folder / "run" / "plan.json").exists():
        return ""
    again = scene.run("run", "--resume", "run")
    said = orderly(again) or ("" if again.status == 0 else again.whole)
    return said and f"{most} bytes, then more: {said}"


def _as_another(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Done:
    done = subprocess.run(
        [*_AS_ANOTHER, sys.executable, "-m", "harness", *command],
        cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=300, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def poor(scene: Scene, draw: random.Random) -> str:
    """A user without a home, a name, or a place to write but one; a checkout that cannot be written."""
    if os.getuid():
        raise NotHereError("only root may become another user")
    if not shutil.which("setpriv"):
        raise NotHereError("there is no setpriv(1), which makes another user who may still read the interpreter")
    source = scene.folder / "checkout"
    shutil.copytree(ROOT / "harness", source / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("impls", "attention_harness"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    work = scene.folder / "work"
    work.mkdir()
    (work / "tiny.toml").write_text(PROBLEMS.replace("[8, 16]", "8"), encoding="utf-8")
    for path in (scene.folder, work):
        path.chmod(0o755)
    os.chown(work, ANOTHER, ANOTHER)
    dropped = draw.sample(("HOME", "USER", "LOGNAME", "PATH", "TMPDIR", "LANG"), draw.randrange(7))
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": draw.choice(("", "1"))}
    if "HOME" not in dropped:
        environment["HOME"] = draw.choice(("/", "/nowhere", "/root", str(work)))
    run = ("run", "--impl", "numba-flash,numpy", "--problems", "tiny.toml", "--out", "run")
    found = _as_another(run, work, environment)
    said = orderly(found)
    with contextlib.suppress(OSError):
        if not said:
            with (work / "run" / "results.csv").open(newline="", encoding="utf-8") as file:
                statuses = {row["implementation"]: row["status"] for row in csv.DictReader(file)}
            said = "" if statuses == {"numba-flash": "ok", "numpy": "ok"} else f"{statuses}: {found.whole}"
    if not said:
        command = draw.choice(ANYBODY)
        found = _as_another(command, work, environment)
        said = orderly(found) or ("" if found.status == 0 else f"{' '.join(command)}: {found.whole}")
    return said and f"without {dropped}: {said}"
