"""The strings of Home Assistant's user interface, in English, German and Chinese."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORDS = 4, 30
"""Of the English side: shorter strings are labels, longer ones whole paragraphs."""

_TAG = re.compile(r"<[^>]+>")
_PLACEHOLDER = re.compile(r"\{[^}]*\}|\[%key:[^\]]*%\]|%\(\w+\)s|%\w")
_WORD = re.compile(r"[A-Za-z]{2,}")
_IDEOGRAPH = re.compile(r"[\u4e00-\u9fff]")

_GERMAN_LENGTHS = 0.4, 3.0
"""Characters for each of English."""
_CHINESE_LENGTHS = 0.5, 6.0
"""Ideographs for each English word."""


def english_german(archive: Path) -> Iterator[tuple[str, str]]:
    """(English, German)."""
    for source, target in _pairs(archive, "de"):
        low, high = _GERMAN_LENGTHS
        if not _IDEOGRAPH.search(target) and low <= len(target) / len(source) <= high:
            yield source, target


def english_chinese(archive: Path) -> Iterator[tuple[str, str]]:
    """(English, simplified Chinese)."""
    low, high = _CHINESE_LENGTHS
    for source, target in _pairs(archive, "zh-Hans"):
        ideographs = len(_IDEOGRAPH.findall(target))
        if ideographs >= 2 and low <= ideographs / len(source.split()) <= high:
            yield source, target


def _pairs(archive: Path, language: str) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(archive) as wheel:
        names = set(wheel.namelist())
        for name in sorted(names):
            other = name.removesuffix("en.json") + f"{language}.json"
            if not name.endswith("/translations/en.json") or other not in names:
                continue
            english, translated = (dict(_strings(json.loads(wheel.read(one)))) for one in (name, other))
            for key, text in english.items():
                source, target = _clean(text), _clean(translated.get(key, ""))
                if target and source != target and _is_prose(source):
                    yield source, target


def _strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, (*path, key))
    elif isinstance(value, str):
        yield path, value


def _clean(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def _is_prose(text: str) -> bool:
    low, high = WORDS
    return low <= len(text.split()) <= high and len(_WORD.findall(_PLACEHOLDER.sub(" ", text))) >= 2
