"""WordNet's glosses of nouns: which of twenty kinds of thing does a definition define?

Fellbaum (ed.) 1998, "WordNet: An Electronic Lexical Database"; wndb(5WN) for the format.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

KINDS = {
    4: "act", 5: "animal", 6: "artifact", 7: "attribute", 8: "body", 9: "cognition", 10: "communication", 11: "event",
    12: "feeling", 13: "food", 14: "group", 15: "location", 17: "object", 18: "person", 20: "plant", 21: "possession",
    23: "quantity", 26: "state", 27: "substance", 28: "time",
}  # fmt: skip
"""Lexicographer files of nouns, less those with few or vague glosses: tops, motive, phenomenon, process, relation, shape."""

_MEMBER = "package/dict/data.noun"


def glosses(archive: Path) -> Iterator[tuple[str, str]]:
    """(definition, kind). Examples are cut off: they contain the word that is defined."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(_MEMBER)
        assert file is not None
        for line in file.read().decode("utf-8", "replace").splitlines():
            if line.startswith("  "):  # The licence.
                continue
            data, _, gloss = line.partition(" | ")
            kind = KINDS.get(int(data.split()[1]))
            if kind:
                yield gloss.partition('; "')[0].strip(), kind
