"""What a declaration may say, checked when it is made: a misspelt word would leave every case unsupported.

Each `check_…` raises `RegistryError` with the implementation, what was given, what is known and what to type.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import RegistryError, guess, nearest
from harness.problem import CAUSAL, DTYPES

LAYOUTS = ("BHSD", "BSHD")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Words:
    """The words that a field may hold."""

    what: str
    known: Sequence[str]
    example: str
    may_be_empty: bool = False

    def unknown(self, given: object) -> str:
        """The sentences for a word that is none of them."""
        return (
            f"no {self.what} is called {_shown(given)}.{guess(_word(given), self.known)} Known are {', '.join(self.known)}"
        )

    def typed(self, given: object) -> str:
        """The known word that stands for `given`, or the example."""
        return next(iter(nearest(_word(given), self.known)), self.example)


DTYPE_WORDS = Words("dtype", tuple(DTYPES), "float32")
CAUSAL_WORDS = Words("causal alignment", CAUSAL, "top-left", may_be_empty=True)
DEVICE_WORDS = Words("device", DEVICES, "cpu")
LAYOUT_WORDS = Words("layout", LAYOUTS, "BHSD")


def check_name(name: object) -> None:
    """A name that can be typed after --impl."""
    if not isinstance(name, str) or not name:
        raise _error("an implementation", f"its name must be a string, not {_shown(name)}", '@implementation("NAME")')


def check_word(owner: str, field: str, given: object, words: Words) -> None:
    """One of the known words."""
    if not isinstance(given, str) or given not in words.known:
        raise _error(owner, words.unknown(given), f'{field}="{words.typed(given)}"')


def check_words(owner: str, field: str, given: object, words: Words) -> None:
    """A collection of known words. A string is refused: it is a sequence of letters."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
        wrong = f"{field} must be a tuple of names ({', '.join(words.known)}), not {_shown(given)}"
        raise _error(owner, wrong, f"{field}={_tuple([words.typed(given)])}")
    if not given and not words.may_be_empty:
        raise _error(owner, f"{field} is empty, so nothing could be run", f"{field}={_tuple([words.example])}")
    for word in given:
        if not isinstance(word, str) or word not in words.known:
            corrected = dict.fromkeys(words.typed(each) for each in given)
            raise _error(owner, words.unknown(word), f"{field}={_tuple(list(corrected))}")


def check_flag(owner: str, field: str, given: object) -> None:
    """True or False, and not what Python takes for one of them."""
    if not isinstance(given, bool):
        raise _error(owner, f"{field} must be True or False, not {_shown(given)}", f"{field}=True, or leave it out")


def check_factory(owner: str, given: object) -> None:
    """What `@implementation(...)` decorates."""
    if not callable(given):
        raise _error(owner, f"{_shown(given)} is no function", f'@implementation("{owner}") above def FACTORY(problem)')


def check_callable(owner: str, field: str, given: object, signature: str) -> None:
    """A function, or None for none."""
    if given is not None and not callable(given):
        wrong = f"{field} must be a function {signature}, not {_shown(given)}"
        raise _error(owner, wrong, f"{field}=FUNCTION, or leave it out")


def check_reasons(owner: str, field: str, given: object, example: str, names: Words | None = None) -> None:
    """A mapping to reasons in words, from the words `names` where they are given."""
    typed = f'{field}={{"{example}": "the reason"}}'
    if not isinstance(given, Mapping):
        raise _error(owner, f"{field} must be a mapping to reasons, not {_shown(given)}", typed)
    for name, reason in given.items():
        if names is not None and name not in names.known:
            typed = f'{field}={{"{names.typed(name)}": "the reason"}}'
            raise _error(owner, f"{field} gives a reason for {_shown(name)}, but {names.unknown(name)}", typed)
        if not isinstance(name, str) or not isinstance(reason, str) or not reason.strip():
            wrong = f"{field} gives {_shown(reason)} as the reason for {_shown(name)}"
            raise _error(owner, wrong, f'{field}={{{_shown(name)}: "the reason"}}')


def check_supports(owner: str, given: object, kind: type) -> None:
    """A declaration; `kind` is its class."""
    if not isinstance(given, kind):
        raise _error(owner, f"supports must be a declaration, not {_shown(given)}", 'supports=Supports(dtypes=("float32",))')


def check_by_device(owner: str, given: Mapping[Any, Any], devices: Sequence[str]) -> None:
    """A declaration for each device, and for no other."""
    typed = "supports={" + ", ".join(f'"{device}": Supports(...)' for device in devices) + "}"
    for device in given:
        if device not in devices:
            wrong = f"supports speaks of the device {_shown(device)}.{guess(_word(device), devices)}"
            raise _error(owner, f"{wrong} Declared are devices={_tuple(devices)}", typed)
    for device in devices:
        if device not in given:
            raise _error(owner, f"supports says nothing of {device}, which is among its devices", typed)


def check_tunables(owner: str, given: object, factory: Callable[..., Any]) -> None:
    """Arguments of the factory, each with a sequence of values."""
    if not isinstance(given, Mapping):
        wrong = f"tunables must be a mapping from arguments to values, not {_shown(given)}"
        raise _error(owner, wrong, 'tunables={"tile": (32, 64)}')
    for name, values in given.items():
        if not isinstance(values, Sequence) or isinstance(values, str | bytes) or not values:
            wrong = f"the values of the tunable {_shown(name)} must be a tuple, not {_shown(values)}"
            raise _error(owner, wrong, f'tunables={{"{name}": (VALUE, VALUE)}}')
    if given:
        _check_arguments(owner, given, factory)


def _check_arguments(owner: str, names: Collection[str], factory: Callable[..., Any]) -> None:
    parameters = list(inspect.signature(factory).parameters.values())
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return
    arguments = [one.name for one in parameters[1:]]
    for name in names:
        if name not in arguments:
            wrong = f"the tunable {_shown(name)} is no argument of the factory.{guess(_word(name), arguments)}"
            near = nearest(_word(name), arguments) or arguments or ["ARGUMENT"]
            its = f"Beside the problem it takes {', '.join(arguments) or 'nothing'}"
            raise _error(owner, f"{wrong} {its}", f'tunables={{"{near[0]}": (VALUE, VALUE)}}')


def _error(owner: str, wrong: str, typed: str) -> RegistryError:
    return RegistryError(f"{owner}: {wrong}; write {typed}")


def _word(given: object) -> str:
    """The name behind what was given: "float32" for `numpy.float32` and for `torch.float32`."""
    return str(getattr(given, "__name__", given)).rpartition(".")[2]


def _shown(given: object) -> str:
    return f'"{given}"' if isinstance(given, str) else reprlib.repr(given)


def _tuple(words: Sequence[str]) -> str:
    """As it is typed: ("float32",)."""
    inside = ", ".join(f'"{word}"' for word in words)
    return f"({inside},)" if len(words) == 1 else f"({inside})"
