"""Checks of what an author declares, made when it is declared: a misspelt word would leave every case unsupported.

Each `check_…` raises `UserError` with the owner, what was given, what is known and what to type.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.errors.user import UserError
from harness.errors.words import guess, nearest


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
            f"no {self.what} is called {shown(given)}.{guess(word_of(given), self.known)} Known are {', '.join(self.known)}"
        )

    def typed(self, given: object) -> str:
        """The known word that stands for `given`, or the example."""
        return next(iter(nearest(word_of(given), self.known)), self.example)


def check_word(owner: str, field: str, given: object, words: Words) -> None:
    """One of the known words."""
    if not isinstance(given, str) or given not in words.known:
        raise declared_wrongly(owner, words.unknown(given), f'{field}="{words.typed(given)}"')


def check_words(owner: str, field: str, given: object, words: Words) -> None:
    """A collection of known words. A string is refused: it is a sequence of letters."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
        wrong = f"{field} must be a tuple of names ({', '.join(words.known)}), not {shown(given)}"
        raise declared_wrongly(owner, wrong, f"{field}={as_tuple([words.typed(given)])}")
    if not given and not words.may_be_empty:
        raise declared_wrongly(owner, f"{field} is empty, so nothing could be run", f"{field}={as_tuple([words.example])}")
    for word in given:
        if not isinstance(word, str) or word not in words.known:
            corrected = dict.fromkeys(words.typed(each) for each in given)
            raise declared_wrongly(owner, words.unknown(word), f"{field}={as_tuple(list(corrected))}")


def check_flag(owner: str, field: str, given: object) -> None:
    """True or False, and not what Python takes for one of them."""
    if not isinstance(given, bool):
        raise declared_wrongly(owner, f"{field} must be True or False, not {shown(given)}", f"{field}=True, or leave it out")


def check_callable(owner: str, field: str, given: object, signature: str) -> None:
    """A function, or None for none."""
    if given is not None and not callable(given):
        wrong = f"{field} must be a function {signature}, not {shown(given)}"
        raise declared_wrongly(owner, wrong, f"{field}=FUNCTION, or leave it out")


def check_reasons(owner: str, field: str, given: object, example: str, names: Words | None = None) -> None:
    """A mapping to reasons in words, from the words `names` where they are given."""
    typed = f'{field}={{"{example}": "the reason"}}'
    if not isinstance(given, Mapping):
        raise declared_wrongly(owner, f"{field} must be a mapping to reasons, not {shown(given)}", typed)
    for name, reason in given.items():
        if names is not None and name not in names.known:
            typed = f'{field}={{"{names.typed(name)}": "the reason"}}'
            raise declared_wrongly(owner, f"{field} gives a reason for {shown(name)}, but {names.unknown(name)}", typed)
        if not isinstance(name, str) or not isinstance(reason, str) or not reason.strip():
            wrong = f"{field} gives {shown(reason)} as the reason for {shown(name)}"
            raise declared_wrongly(owner, wrong, f'{field}={{{shown(name)}: "the reason"}}')


def declared_wrongly(owner: str, wrong: str, typed: str) -> UserError:
    return UserError(f"{owner}: {wrong}; write {typed}")


def word_of(given: object) -> str:
    """The name behind what was given: "float32" for `numpy.float32` and for `torch.float32`."""
    return str(getattr(given, "__name__", given)).rpartition(".")[2]


def shown(given: object) -> str:
    return f'"{given}"' if isinstance(given, str) else reprlib.repr(given)


def as_tuple(words: Sequence[str]) -> str:
    """As it is typed: ("float32",)."""
    inside = ", ".join(f'"{word}"' for word in words)
    return f"({inside},)" if len(words) == 1 else f"({inside})"
