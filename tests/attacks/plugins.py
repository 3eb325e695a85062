"""Plug-ins that break in every way that has been thought of, beside one that is right: theirs is a row, and no more."""

import csv
import itertools
import os
import random
from pathlib import Path

from tests.attacks.folders import PROBLEMS
from tests.attacks.kills import left
from tests.attacks.kind import Scene, orderly

HEAD = '''"""A plug-in."""
import ctypes, glob, mmap, os, pickle, signal, struct, subprocess, sys, threading, time
import numpy as np
from harness.registry import Supports, implementation

def right(problem, q, k, v):
    s = (problem.scale * q) @ k.swapaxes(-1, -2)
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v

def sockets():
    for path in glob.glob("/proc/self/fd/*"):
        try:
            if os.readlink(path).startswith("socket:"):
                yield int(path.rsplit("/", 1)[1])
        except OSError:
            pass

def send(data):
    for fd in sockets():
        os.write(fd, data)

def message(thing):
    data = thing if isinstance(thing, bytes) else pickle.dumps(thing)
    send(struct.pack("!4sQ", b"atn1", len(data)) + data)

class Mute(Exception):
    def __str__(self):
        raise RuntimeError

class NotText(Exception):
    def __str__(self):
        return 3

class Own(BaseException):
    pass

class Evil:
    def __reduce__(self):
        return os.system, ("touch owned",)

def child(seconds=60, session=False):
    if os.fork() == 0:
        if session:
            os.setsid()
            if os.fork():
                os._exit(0)
        time.sleep(seconds)
        os._exit(0)

def spin():
    while True:
        pass

KEPT = []
'''

IN_CALL = """
@implementation("bad")
def bad(problem):
    done = []
    def call(q, k, v):
        if not done:
            done.append(1)
            {body}
        return right(problem, q, k, v)
    return call
"""

IN_FACTORY = """
@implementation("bad")
def bad(problem):
    {body}
    return lambda q, k, v: right(problem, q, k, v)
"""

AT_IMPORT = """
{body}

@implementation("bad")
def bad(problem):
    return lambda q, k, v: right(problem, q, k, v)
"""

RAISED = (
    "raise KeyboardInterrupt", "raise SystemExit", "raise SystemExit(0)", 'raise SystemExit("bye")', "raise GeneratorExit",
    "raise Own", "raise Mute", "raise NotText", 'raise ValueError("half \\ud800 a character")', "raise EOFError",
    'raise OSError(5, "disk")', "raise BrokenPipeError", "raise MemoryError", "raise StopIteration",
    'raise ValueError("long words " * 10000)', 'raise ValueError("a\\nb\\r\\nc\\0d | e \\x1b[31m f [red]g[/red], \\"h\\"")',
    "raise RecursionError", 'raise ExceptionGroup("many", [ValueError(1), TypeError(2)])',
    'open(os.fsdecode(b"/nowhere/kernel-\\xff.so"))', "assert False", "1 / 0",
)  # fmt: skip
ENDED = (
    "os._exit(0)", "os._exit(9)", "os.kill(os.getpid(), signal.SIGSEGV)", "os.kill(os.getpid(), signal.SIGKILL)",
    "os.abort()",
    "ctypes.string_at(0)", "os.closerange(0, 256)", "os.closerange(3, 256)",
    'sys.stderr.write("\\r10 % |#\\r50 % |#####"); sys.stderr.flush(); os._exit(9)',
    'os.write(1, bytes(range(256))); os._exit(9)',
    'os.write(2, b"\\x1b[2J\\x1b[31mred\\x1b]0;title\\x07 [bold]m[/bold] | pipe\\n"); os._exit(9)',
)  # fmt: skip
STALLED = (
    "time.sleep(10**6)", "spin()", "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(10**6)",
    "os.kill(os.getpid(), signal.SIGSTOP)", "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; spin()",
    "ctypes.CDLL(None).pause()", "child(session=True); time.sleep(10**6)",
)  # fmt: skip
SPOKEN = (
    'send(b"\\0\\0\\0\\x08garbage!")', "send(os.urandom(64))", 'message({"not": "a reply"})', "message(Evil())",
    'send(struct.pack("!4sQ", b"atn1", 1000) + b"only this"); time.sleep(10**6)',
    'send(struct.pack("!4sQ", b"atn1", 1 << 50))', 'message(b"no pickle")', "message(None)", "message(b'')",
    'send(struct.pack("!4sQ", b"atn1", 3))',
)  # fmt: skip
HARMLESS = (
    'print("hello " * 1000)', "sys.stdout.close(); sys.stderr.close()", "child(); ", "child(session=True)",
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)",
    "[child() for _ in range(20)]",
    "[threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in range(300)]",
    "threading.Thread(target=time.sleep, args=(60,)).start()", "os.kill(os.getppid(), signal.SIGCONT)",
    'open(f"/dev/shm/attack-{os.getpid()}", "wb").write(b"x" * 1000)', "sys.setrecursionlimit(50)", "os.chdir('/')",
    "[os.write(1, b'x' * (1 << 20)) for _ in range(64)]", "os.environ.clear()", "sys.modules.clear()", "os.nice(5)",
)  # fmt: skip
HUNGRY = (
    "KEPT.append(np.ones(3 << 27))",
    "area = mmap.mmap(-1, 3 << 30); [area.__setitem__(at, 1) for at in range(0, 3 << 30, 4096)]; KEPT.append(area)",
    "area = mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); "
    "[area.__setitem__(at, 1) for at in range(0, 3 << 30, 4096)]; KEPT.append(area)",
)
DECLARED = (
    "framework=None", 'framework="numpi"', "framework=3", "devices=()", 'devices="cpu"', 'devices=("tpu",)', "devices=None",
    "supports=3", "supports=Supports(causal=True)", 'supports=Supports(dtypes="float32")', "supports=Supports(mask=1)",
    "supports=Supports(extra_check=3)", "supports=Supports(extra_check=lambda p: 3)",
    "supports=Supports(extra_check=lambda p: 1 / 0)", "supports=Supports(extra_check=lambda p: os._exit(3))",
    "supports=Supports(extra_check=lambda p: spin())", 'supports=Supports(extra_check=lambda p: "text")',
    "supports=Supports(extra_check=lambda p: [3])", "unavailable_reason=3", "unavailable_reason=lambda d: 1 / 0",
    "unavailable_reason=lambda d: 3", "unavailable_reason=lambda d: os._exit(0)", "unavailable_reason=lambda d: spin()",
    'unavailable_reason=lambda d: "no\\nway\\x1b[2J \\ud800"', 'layout="XYZ"', "layout=3", "tunables=3",
    'tunables={"x": (1,)}', 'known_failures={"x": 3}', 'fast_kernel="("', "slow_build=1", "wrong_on_purpose=3",
    "library_call=3", "interpreted=None",
)  # fmt: skip
NAMES = (
    'with "quotes"', "with 'apostrophes'", "two\nlines", "carriage\rreturn", "with,comma", "with|pipe", "[red]markup[/red]",
    "\x1b[31mansi\x1b[0m", "nul\0byte", " blanks ", "", "=1+1", "<script>", "**bold**", "half \ud800", "\u202eesrever",
    "numpy\u200b", "n" * 300, "all", "numpy", 42, None, b"bytes", ["a"], "../x", "-x", "--help", ".hidden", "a/b",
)  # fmt: skip
"""None of these is a name."""

EXPECTED = {
    RAISED: {"error", "out-of-memory"},
    ENDED: {"crashed", "error"},
    STALLED: {"timeout"},
    SPOKEN: {"crashed", "timeout"},
    HARMLESS: {"ok", "error", "crashed", "timeout"},
    HUNGRY: {"out-of-memory", "crashed", "error"},
}
"""What a row may say of each."""

TIMEOUT_S = "5"


def behaviour(scene: Scene, draw: random.Random) -> str:
    """What a call, or the factory, does."""
    bodies = draw.choice(list(EXPECTED))
    body = draw.choice(bodies)
    where = draw.choice((IN_CALL, IN_CALL, IN_FACTORY))
    return _measured(scene, where.format(body=body), EXPECTED[bodies] | ({"ok"} if where is IN_FACTORY else set()), body)


def importing(scene: Scene, draw: random.Random) -> str:
    """What happens when a plug-in is imported: by the command that was given it, and by `list`."""
    return _imported(scene, draw, draw.choice(draw.choice((RAISED, ENDED, SPOKEN))))


def never_imported(scene: Scene, draw: random.Random) -> str:
    """One whose import does not end: the limit of a minute does."""
    return _imported(scene, draw, draw.choice(STALLED[:3]))


def _imported(scene: Scene, draw: random.Random, body: str) -> str:
    scene.write("bad.py", HEAD + AT_IMPORT.format(body=body))
    command = draw.choice((("list",), ("run", "--impl", "bad,numpy", "--out", "run"), ("check", "--impl", "bad", "--quiet")))
    done = scene.run(*command, "--plugin", "bad.py")
    said = orderly(done) or ("" if done.status in (1, 2) else f"it was loaded: {done.whole}") or left(scene)
    return said and f"{body[:60]} when it is imported, {command[0]}: {said}"


def declaration(scene: Scene, draw: random.Random) -> str:
    """A declaration that says nonsense, or whose functions do."""
    what = draw.choice(DECLARED)
    text = f'@implementation("bad", {what})\ndef bad(problem):\n    return lambda q, k, v: right(problem, q, k, v)\n'
    return _measured(scene, text, {"error", "unsupported", "unavailable", "ok", "crashed"}, what, refusable=True)


def name(scene: Scene, draw: random.Random) -> str:
    """A name that would break a table, a file or a command line."""
    what = draw.choice(NAMES)
    text = f"@implementation({what!r})\ndef bad(problem):\n    return lambda q, k, v: right(problem, q, k, v)\n"
    scene.write("bad.py", HEAD + text)
    before = scene.names()
    done = scene.run("run", "--impl", "numpy", "--plugin", "bad.py")
    if done.status != 2 or len(done.err.strip().splitlines()) != 1:
        return f"the name {what!r} was not refused in one sentence: {done.whole}"
    return "" if scene.names() == before else f"the name {what!r}: it made {scene.names()}"


def _measured(scene: Scene, text: str, statuses: set[str], what: str, refusable: bool = False) -> str:
    """Measure it beside a right one: that has a time, it has a status, there are tables, and nothing is left."""
    scene.write("bad.py", HEAD + text)
    scene.write("tiny.toml", PROBLEMS.replace("[8, 16]", "8"))
    shared = set(os.listdir("/dev/shm"))
    done = scene.run(
        "run", "--impl", "bad,numpy", "--plugin", "bad.py", "--problems", "tiny.toml", "--timeout", TIMEOUT_S,
        "--memory", "2",
        "--out", "run",
    )  # fmt: skip
    said = orderly(done)
    if not said and not (refusable and done.status == 2):
        said = _rows(scene.folder / "run", statuses) or ("an object of its made a file" if _owned(scene) else "")
    said = said or left(scene)
    if not said and (remains := [one for one in set(os.listdir("/dev/shm")) - shared if one.startswith("attack-")]):
        said = f"left in shared memory: {remains}"
    return said and f"{what[:80]}: {said}"


def _rows(folder: Path, statuses: set[str]) -> str:
    for table in ("results.csv", "report.md", "samples.csv"):
        if not (folder / table).is_file():
            return f"there is no {table}"
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["implementation"]: row for row in csv.DictReader(file)}
    if set(rows) != {"bad", "numpy"}:
        return f"the rows are {list(rows)}"
    if rows["numpy"]["status"] != "ok":
        return f"numpy is {rows['numpy']['status']}: {rows['numpy']['reason']}"
    reason = rows["bad"]["reason"]
    if rows["bad"]["status"] not in statuses:
        return f"it is {rows['bad']['status']}: {reason}"
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF for letter in itertools.chain(*rows["bad"].values())):
        return f"a cell has control characters: {reason!r}"
    return ""


def _owned(scene: Scene) -> bool:
    return any((folder / "owned").exists() for folder in (scene.folder, Path.cwd()))
