"""What a declaration may say, checked when it is made: a misspelt word would leave every case unsupported.

Each `check_…` raises `UserError` with the implementation, what was given, what is known and what to type.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from harness.errors import guess, nearest
from harness.errors.declared import Words, as_tuple, declared_wrongly, shown, word_of

DEVICES = ("cpu", "cuda")


DEVICE_WORDS = Words("device", DEVICES, "cpu")


_NAME = re.compile(r"\w[\w.+-]*(\[\w+=[^\[\]\s,]+\])?")
"""Of any script: a name stands in tables, in file names, and after --impl, where commas separate names. With a value of a
tunable behind it, it is a variant's."""

MOST_LETTERS = 80
RESERVED = ("all",)


def check_name(name: object) -> None:
    """A name that can be typed after --impl, and be part of a table and of a file's name."""
    if not isinstance(name, str) or not name:
        wrong = f"its name must be a string, not {shown(name)}"
    elif not _NAME.fullmatch(name) or len(name) > MOST_LETTERS:
        wrong = f"its name {shown(name)} must be letters, digits and any of _ . + - behind the first, {MOST_LETTERS} at most"
    elif name in RESERVED:
        wrong = f'its name "{name}" means every implementation'
    else:
        return
    raise declared_wrongly("an implementation", wrong, '@implementation("NAME")')


def check_factory(owner: str, given: object) -> None:
    """What `@implementation(...)` decorates."""
    if not callable(given):
        raise declared_wrongly(
            owner, f"{shown(given)} is no function", f'@implementation("{owner}") above def FACTORY(problem)'
        )


def check_supports(owner: str, given: object, kind: type) -> None:
    """A declaration; `kind` is its class."""
    if not isinstance(given, kind):
        raise declared_wrongly(
            owner, f"supports must be a declaration, not {shown(given)}", 'supports=Supports(dtypes=("float32",))'
        )


def check_by_device(owner: str, given: Mapping[Any, Any], devices: Sequence[str]) -> None:
    """A declaration for each device, and for no other."""
    typed = "supports={" + ", ".join(f'"{device}": Supports(...)' for device in devices) + "}"
    for device in given:
        if device not in devices:
            wrong = f"supports speaks of the device {shown(device)}.{guess(word_of(device), devices)}"
            raise declared_wrongly(owner, f"{wrong} Declared are devices={as_tuple(devices)}", typed)
    for device in devices:
        if device not in given:
            raise declared_wrongly(owner, f"supports says nothing of {device}, which is among its devices", typed)


def check_tunables(owner: str, given: object, factory: Callable[..., Any]) -> None:
    """Arguments of the factory, each with a sequence of values."""
    if not isinstance(given, Mapping):
        wrong = f"tunables must be a mapping from arguments to values, not {shown(given)}"
        raise declared_wrongly(owner, wrong, 'tunables={"tile": (32, 64)}')
    for name, values in given.items():
        if not isinstance(values, Sequence) or isinstance(values, str | bytes) or not values:
            wrong = f"the values of the tunable {shown(name)} must be a tuple, not {shown(values)}"
            raise declared_wrongly(owner, wrong, f'tunables={{"{name}": (VALUE, VALUE)}}')
    if given:
        _check_arguments(owner, given, factory)


def check_sentence(owner: str, field: str, given: object) -> None:
    """A reason in words; "" where there is none to give."""
    if not isinstance(given, str) or given != given.strip():
        raise declared_wrongly(owner, f"{field} must be a sentence, not {shown(given)}", f'{field}="the reason"')


def check_pattern(owner: str, field: str, given: object) -> None:
    """A regular expression; "" where there is none."""
    try:
        re.compile(given)  # type: ignore[call-overload]
    except (TypeError, re.error) as error:
        said = f"{field} must be a regular expression, not {shown(given)}: {error}"
        raise declared_wrongly(owner, said, f'{field}="flash"') from None


def _check_arguments(owner: str, names: Collection[str], factory: Callable[..., Any]) -> None:
    parameters = list(inspect.signature(factory).parameters.values())
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return
    arguments = [one.name for one in parameters[1:]]
    for name in names:
        if name not in arguments:
            wrong = f"the tunable {shown(name)} is no argument of the factory.{guess(word_of(name), arguments)}"
            near = nearest(word_of(name), arguments) or arguments or ["ARGUMENT"]
            its = f"Beside the problem it takes {', '.join(arguments) or 'nothing'}"
            raise declared_wrongly(owner, f"{wrong} {its}", f'tunables={{"{near[0]}": (VALUE, VALUE)}}')
