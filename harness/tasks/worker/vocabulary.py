"""Texts cut into tokens, by Hugging Face's `tokenizers`. For workers only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from harness.errors import UserError

PADDING, UNKNOWN, BEGIN, END = SPECIAL = ("[PAD]", "[UNK]", "[BEGIN]", "[END]")
FILE = "tokenizer.json"

_LEAST_SEEN = 2
"""A word piece that occurs once teaches nothing."""


class Vocabulary:
    """Tokens of texts by number; those of `SPECIAL` come first, in that order."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self._tokenizer.get_vocab_size()

    def numbers(self, text: str, longest: int) -> list[int]:
        """The tokens of a text, cut after `longest`; an unknown one where there would be none."""
        return self._tokenizer.encode(text).ids[:longest] or [SPECIAL.index(UNKNOWN)]

    def tokens(self, text: str, longest: int) -> list[str]:
        """The same as they read."""
        return self._tokenizer.encode(text).tokens[:longest] or [UNKNOWN]

    def token(self, number: int) -> str:
        """One token as it reads."""
        return self._tokenizer.id_to_token(number) or UNKNOWN

    def text(self, numbers: Iterable[int]) -> str:
        """The text of tokens, without special ones."""
        return self._tokenizer.decode([n for n in numbers if n >= len(SPECIAL)])

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        self._tokenizer.save(str(folder / FILE))

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """What `save` wrote. Raises `UserError` where there is none."""
        if not (folder / FILE).is_file():
            raise UserError(f"{folder} has no {FILE}; it is not the folder of a model of this harness")
        return cls(Tokenizer.from_file(str(folder / FILE)))


def pieces(texts: Iterable[str], size: int, lowercase: bool = True) -> Vocabulary:
    """Pieces of words by byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909); Chinese characters stand alone."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"[\u3400-\u9fff]"), "isolated"), pre_tokenizers.Metaspace(prepend_scheme="first"),
         pre_tokenizers.Punctuation()]
    )  # fmt: skip
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(SPECIAL) + 1), special_tokens=list(SPECIAL), min_frequency=_LEAST_SEEN, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Vocabulary(tokenizer)


def words(texts: Iterable[str], size: int) -> Vocabulary:
    """Whatever is separated by blanks: letters, phonemes, symbols."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(
        vocab_size=max(size, len(SPECIAL) + 1), special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Vocabulary(tokenizer)
