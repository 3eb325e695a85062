"""What Hypothesis makes up: any text for an option, any value in a file of problems, any value in a file of a run.

It shortens what gets through before it is shown.
"""

import datetime
import json
import os
import random
import shutil
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.attacks import folders, nonsense
from tests.attacks.kind import Attack, Scene, orderly, refused, scene

EXAMPLES = 20
"""Of one attack."""


def fuzzed(strategy: st.SearchStrategy[Any], attack: Callable[[Scene, Any], str]) -> Attack:
    """An attack that tries `EXAMPLES` of what a strategy makes, each in an empty folder."""

    def carried_out(_: Scene, draw: random.Random) -> str:
        @seed(draw.getrandbits(32))
        @settings(
            max_examples=EXAMPLES, database=None, deadline=None, report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(strategy)
        def each(what: Any) -> None:
            with scene() as own:
                said = attack(own, what)
            assert not said, said

        try:
            each()
        except AssertionError as error:
            return str(error)
        return ""

    return carried_out


# --- options -----------------------------------------------------------------------------------------

_ARGUMENT = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(os.fsdecode),
    st.integers().map(str),
    st.floats().map(str),
    st.from_regex(r"[-+0-9.,:/\[\]=~*]{1,30}", fullmatch=True),
)
"""What a shell can hand over: any bytes but NUL, and nothing that asks for help."""

_ALONE = ("--resume", "--from")
_WRONG_BESIDE = {
    "run": ("--impl", "no-such", "--preset", "smoke"),
    "check": ("--impl", "no-such"),
    "frontier": ("--impl", "no-such"),
    "model": ("--model", "tiny-bert", "--impl", "no-such"),
    "task": ("sentiment", "--impl", "no-such"),
    "explore": ("--task", "sentiment", "--layers", "1,2", "--impl", "no-such"),
    "report": ("no-such",),
    "compare": ("no-such", "no-such"),
}
"""What is refused, whatever stands beside it: a value that Hypothesis makes may be a right one."""

OPTIONS = st.tuples(
    st.sampled_from([(verb, name) for verb, name in nonsense.OPTIONS if verb in _WRONG_BESIDE and name.startswith("-")
                     and name not in ("--impl", *_ALONE)]),
    _ARGUMENT.filter(lambda text: "\0" not in text and not text.startswith(("-h", "--h"))),
)  # fmt: skip


def option(own: Scene, what: tuple[tuple[str, str], str]) -> str:
    """Any text as the value of an option, in a command that is refused anyway."""
    (verb, name), value = what
    beside = list(_WRONG_BESIDE[verb])
    if name in beside:
        del beside[beside.index(name) : beside.index(name) + 2]
    said = refused(own.call(verb, *beside, name, value), own, [])
    return said and f"{verb} {name} {value!r}: {said}"


# --- files of problems -------------------------------------------------------------------------------

_NO_SIZE = st.recursive(
    st.one_of(
        st.text(max_size=20),
        st.floats().filter(lambda number: not number.is_integer()),
        st.booleans(),
        st.dates(min_value=datetime.date(1000, 1, 1)),
        st.integers(max_value=0),
        st.integers(min_value=2**31),
    ),
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PROBLEMS = st.tuples(st.sampled_from(("length", "head_dim", "heads", "batch", "kv_len")), _NO_SIZE)


def problem(own: Scene, what: tuple[str, Any]) -> str:
    """Any value that is no size in the place of one."""
    name, value = what
    lines = [line for line in nonsense.GOOD.splitlines() if not line.startswith(f"{name} ")]
    text = "\n".join([*lines, f"{name} = {_toml(value)}", ""])
    (own.folder / "mine.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    said = refused(own.call("run", "--impl", "numpy", "--problems", "mine.toml"), own, ["mine.toml"])
    return said and f"{name} = {_toml(value)}: {said}"


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- folders of runs ---------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FOLDERS = st.tuples(st.randoms(use_true_random=False), _JSON)


def folder(own: Scene, what: tuple[random.Random, Any]) -> str:
    """Any value in place of any member of the plan, the machine or a record: a report, or a sentence."""
    draw, value = what
    run = own.folder / "run"
    shutil.copytree(folders.run(), run)
    place = folders.changed_member(run, draw, value)
    said = orderly(own.call("report", "run", "--format", draw.choice(("csv", "md"))))
    return said and f"{place}: {said}"
