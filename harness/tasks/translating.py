"""How good translations are, beside what copying and remembering give. sacrebleu, scikit-learn and RapidFuzz do the work.

A random split of the strings of a program leaks: half of the test part has a near twin to train on. So pairs whose source is
unlike all that were trained on are scored apart, as "new".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.data.examples import TEST, TRAIN, Example, of_part
from harness.tasks.made import MADE

MOST = 2000
"""Pairs of the test part that are translated."""

ALIKE = 0.7
"""Cosine of TF-IDF over characters: sources above it are twins."""

NEW = "new.json"
"""The file that says which of the tested pairs are new."""

COPY, NEAREST = "copy of the source", "translation of the nearest source"


def tested(examples: Sequence[Example]) -> list[Example]:
    """The pairs that are translated."""
    return list(of_part(examples, TEST))[:MOST]


def scores(data: str, said: Sequence[str], pairs: Sequence[Example], new: Sequence[bool]) -> dict[str, float]:
    """Scores of translations, in per cent: BLEU and chrF of all and of new pairs, error rates of sounds, exact matches."""
    right = [pair.target for pair in pairs]
    exact = 100 * sum(one == other for one, other in zip(said, right, strict=True)) / len(right)
    if data == "pronunciation":
        return {"phoneme_errors": _errors(said, right), "word_errors": 100 - exact}
    if data == MADE:
        return {"exact": exact}
    of_new = [n for n, one in enumerate(new) if one]
    found = {"exact": exact}
    for name, some in (("", range(len(right))), ("_new", of_new)):
        if some:
            bleu, chrf = _bleu_and_chrf([said[n] for n in some], [right[n] for n in some], data == "english-chinese")
            found |= {f"bleu{name}": bleu, f"chrf{name}": chrf}
    return found


def baselines(data: str, examples: Sequence[Example]) -> tuple[dict[str, Mapping[str, float]], list[bool]]:
    """Scores of the two that need no model, and which of the tested pairs are new."""
    pairs, train = tested(examples), list(of_part(examples, TRAIN))
    nearest, alike = _nearest(pairs, train)
    new = [one <= ALIKE for one in alike]
    answers = {COPY: [pair.text for pair in pairs], NEAREST: [train[n].target for n in nearest]}
    return {name: scores(data, said, pairs, new) for name, said in answers.items()}, new


def _nearest(pairs: Sequence[Example], train: Sequence[Example]) -> tuple[list[int], list[float]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    known = vectors.fit_transform([example.text for example in train])
    index = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(known)
    distances, numbers = index.kneighbors(vectors.transform([pair.text for pair in pairs]))
    return numbers[:, 0].tolist(), (1 - distances[:, 0]).tolist()


def _bleu_and_chrf(said: list[str], right: list[str], chinese: bool) -> tuple[float, float]:
    from sacrebleu.metrics import BLEU, CHRF

    bleu = BLEU(tokenize="zh" if chinese else "13a").corpus_score(said, [right]).score
    return bleu, CHRF().corpus_score(said, [right]).score


def _errors(said: Sequence[str], right: Sequence[str]) -> float:
    """Insertions, deletions and replacements for each symbol that should have come, in per cent."""
    from rapidfuzz.distance import Levenshtein

    pairs = [(one.split(), other.split()) for one, other in zip(said, right, strict=True)]
    return 100 * sum(Levenshtein.distance(*pair) for pair in pairs) / sum(len(other) for _, other in pairs)
