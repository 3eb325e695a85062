"""Options and files of problems that no run can be made of."""

import random

from tests.attacks.kind import Scene, refused

HUGE = "9" * 400

NUMBERS = (
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e300",
    "1e-320",
    HUGE,
    f"-{HUGE}",
    "x",
    "",
    "1e",
    "0x10",
    "½",
    "1" * 5000,
    "--",
)
WHOLE = (*NUMBERS, "1.5", "2,", ",")

OPTIONS = {
    ("run", "--seed"): ("-1", "nan", "1.5", HUGE, "x", "", str(2**32)),
    ("run", "--memory"): NUMBERS,
    ("run", "--timeout"): NUMBERS,
    ("run", "--threads"): (*WHOLE, "4096"),
    ("run", "--impl"): ("", ",", " ", "numpi", "all,numpy", "NUMPY", "../numpy", "numpy[", "numpy[x=1]", "\x1b[31m", "注意",
                        "a" * 5000),
    ("run", "--preset"): ("", "quik", "../quick", "quick\n", "\x1b[2J"),
    ("run", "--problems"): ("", ".", "/", "none.toml", "/dev/null", "a" * 5000),
    ("run", "--plugin"): ("", ".", "none.py", "/dev/null", "a" * 5000, "none.py:Layer"),
    ("run", "--baseline"): ("", "jax,numpy", "numpi", "\n"),
    ("run", "--device"): ("", "tpu", "cuda:0"),
    ("run", "--dtype"): ("", "float8", "Float32"),
    ("run", "--cache"): ("", "warm"),
    ("run", "--resume"): ("", ".", "none", "/dev/null", "/", "a" * 5000),
    ("run", "--operator"): ("", "attention,multi-head", "\x00"[:0] + "x"),
    ("report", "none"): (".", "/", "/dev/null"),
    ("check", "--case"): ("", "casual", "*", "../x"),
    ("check", "--seed"): ("-1", "x", HUGE),
    ("check", "--timeout"): NUMBERS,
    ("check", "--csv"): ("", ".", "/", "none/x.csv", "/dev/null/x", "a" * 5000),
    ("compare", "none"): ("none", ".", "/dev/null"),
    ("compare", "--threshold"): NUMBERS,
    ("baseline", "save"): ("../x", "", "a b"),
    ("data", "nothing"): ("", "gloses", "../x"),
    ("task", "--steps"): WHOLE,
    ("task", "--seeds"): WHOLE,
    ("task", "--minutes"): NUMBERS,
    ("task", "--width"): WHOLE,
    ("task", "--heads"): (*WHOLE, "3"),
    ("task", "--learning-rate"): ("0", "-1", "nan", "inf", "x", ""),
    ("task", "--model"): ("", "rnn"),
    ("task", "--data"): ("", ".", "none.csv", "/dev/null", "english-german", "hub:"),
    ("task", "--framework"): ("", "jax", "torch,"),
    ("task", "--resume"): ("", ".", "none"),
    ("task", "--from"): ("none", "."),
    ("explore", "--heads"): ("", "0", "0,1", "x,y", "3,5", HUGE),
    ("explore", "--minutes"): NUMBERS,
    ("explore", "--sampler"): ("", "grit"),
    ("explore", "--resume"): ("", ".", "none"),
    ("frontier", "--memory"): NUMBERS,
    ("frontier", "--longest"): WHOLE,
    ("model", "--batch"): (*WHOLE, "0"),
    ("model", "--length"): WHOLE,
    ("model", "--processes"): WHOLE,
}  # fmt: skip
"""By command and option, values that are wrong whatever stands beside them."""

BESIDE = {
    "run": ("--impl", "numpy", "--preset", "smoke"),
    "check": ("--impl", "numpy"),
    "report": (),
    "compare": (),
    "baseline": (),
    "data": (),
    "task": ("sentiment",),
    "explore": ("--task", "sentiment", "--layers", "1,2"),
    "frontier": ("--impl", "numpy"),
    "model": ("--model", "tiny-bert", "--impl", "numpy"),
}
"""What makes a command whole."""


def option(scene: Scene, draw: random.Random) -> str:
    """One wrong value of one option."""
    verb, name = draw.choice(list(OPTIONS))
    value = draw.choice(OPTIONS[verb, name])
    beside = list(BESIDE[verb])
    if name in beside:
        del beside[beside.index(name) : beside.index(name) + 2]
    if name == "--resume":
        beside = []
    if name == "--from":
        beside += ["--predict", "x"]
    said = refused(scene.call(verb, *beside, name, value), scene, [])
    return said and f"{verb} {name} {value[:40]!r}: {said}"


FIELDS = (
    "heads",
    "length",
    "head_dim",
    "batch",
    "q_len",
    "kv_len",
    "causal",
    "window",
    "scale",
    "dtype",
    "mask",
    "softcap",
    "bias",
)
VALUES = (
    "-1", "1.5", "nan", "inf", "true", '"x"', "''", "[]", "[[]]", "{}", "{a = 1}", "1979-05-27", HUGE, f"[{HUGE}]",
    '"\\u0000"', '"\\u202e"', "[1, 'x']", "[[1], [2]]", "9223372036854775808", "1e400", "[-1, -1]", '["none", "none", 3]',
)  # fmt: skip
GOOD = """[tiny]
[tiny.effort]
rounds = 2
[[tiny.problems]]
heads = 1
length = 16
head_dim = 8
"""


def problems(scene: Scene, draw: random.Random) -> str:
    """A file of problems with one thing wrong."""
    text, what = draw.choice(_WRONG)(draw)
    file = scene.folder / "mine.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    said = refused(scene.call("run", "--impl", "numpy", "--problems", "mine.toml"), scene, ["mine.toml"])
    return said and f"{what}: {said}"


def _value(draw: random.Random) -> tuple[str, str]:
    field, value = draw.choice(("length", "head_dim", "heads")), draw.choice((*VALUES, "0"))
    lines = [f"{field} = {value}" if line.startswith(f"{field} ") else line for line in GOOD.splitlines()]
    return "\n".join(lines) + "\n", f"{field} = {value[:40]}"


def _effort(draw: random.Random) -> tuple[str, str]:
    field, value = draw.choice(("rounds", "processes", "cell_s", "limits", "roundz")), draw.choice(VALUES)
    value = "3.5" if field == "limits" and value == "true" else value
    value = "-1" if field == "cell_s" and value == "1.5" else value
    return GOOD.replace("rounds = 2", f"{field} = {value}"), f"effort.{field} = {value[:40]}"


def _cut(draw: random.Random) -> tuple[str, str]:
    at = draw.randrange(GOOD.index("head_dim"))
    return GOOD[:at], f"cut at {at}"


def _bytes(draw: random.Random) -> tuple[str, str]:
    at = draw.randrange(len(GOOD))
    return GOOD[:at] + draw.choice(["\udcff", "\x00", "\x1b[2J", "\udc80\udc81"]) + GOOD[at:], f"bytes at {at}"


def _structure(draw: random.Random) -> tuple[str, str]:
    text = draw.choice(
        [
            "", "\n", "x = 1", "[tiny]", "[tiny]\nproblems = 3", "[tiny]\nproblems = [3]", "[[tiny]]\nx = 1",
            GOOD.replace("tiny", '"../../x"'), GOOD.replace("tiny", '"a b"'), GOOD.replace("tiny", '""'),
            GOOD.replace("tiny", '"x\\u0000"'), GOOD.replace("tiny", "x" * 300),
            GOOD.replace("[tiny]", "[tiny]\nunknown = 1", 1), GOOD.replace("[tiny]", "[tiny]\ndescription = 3", 1),
            GOOD + "x = " + "[" * 3000 + "]" * 3000, GOOD + "length = 17\n", GOOD + 'operator = "lstm"\n',
            GOOD.replace("length = 16", f"q_len = {list(range(1, 2001))}\nkv_len = {list(range(1, 2001))}"),
            GOOD.replace("[tiny.effort]\nrounds = 2", "effort = 3"), GOOD.replace("length", "lenght"),
        ]
    )  # fmt: skip
    return text, f"structure {text[:60]!r}"


_WRONG = (_value, _effort, _cut, _bytes, _structure)
