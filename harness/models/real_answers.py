"""What models with real weights are for, answered with an implementation inside. For workers only.

`rxnmapper`: which atom of the reactants each atom of the product was, by the head that learnt it (Schwaller et al. 2021,
Science Advances 7, doi 10.1126/sciadv.abe4166), which their package reads with weighing of neighbours besides.
`minilm`: how near sentences are in meaning, by the cosine of their embeddings (Reimers and Gurevych 2019, arXiv 1908.10084).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from harness.models.weights import watched

REACTIONS = (
    "CC(=O)O.CCO>>CC(=O)OCC",
    "CC(=O)Cl.NCc1ccccc1>>CC(=O)NCc1ccccc1",
    "Brc1ccccc1.OB(O)c1ccccc1>>c1ccc(-c2ccccc2)cc1",
    "CCBr.[C-]#N.[Na+]>>CCC#N",
    "O=Cc1ccccc1.CN>>CNCc1ccccc1",
    "CC(C)(C)OC(=O)NCc1ccccc1>>NCc1ccccc1",
    "O=[N+]([O-])c1ccccc1>>Nc1ccccc1",
    "Oc1ccccc1.CI>>COc1ccccc1",
    "C=CC=C.C=CC(=O)OC>>COC(=O)C1CC=CCC1",
    "CCOC(=O)c1ccccc1>>O=C(O)c1ccccc1",
)
"""An esterification, an amide, a Suzuki coupling, a nitrile, a reductive amination, a Boc group taken off, a nitro group
reduced, an ether, a Diels-Alder reaction, a saponification."""

_TOKEN = re.compile(r"(\[[^]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>>?|\*|\$|%\d{2}|\d)")
"""Of SMILES, as the model was trained with (Schwaller et al. 2019, ACS Central Science 5, doi 10.1021/acscentsci.9b00576).
"""
_ATOM = re.compile(r"\[\d*([A-Za-z][a-z]?)|([A-Za-z]+)")
_LAYER, _HEAD = 10, 5

SENTENCES = (
    ("A man is playing a guitar.", "Someone plays an instrument."),
    ("The cat sleeps on the sofa.", "A cat is sleeping on a couch."),
    ("The stock market fell sharply today.", "Shares dropped a lot this afternoon."),
    ("How do I reset my password?", "I forgot my login, what can I do?"),
    ("The train leaves at nine.", "My favourite colour is green."),
    ("She bought a new car.", "She purchased another automobile."),
    ("Water boils at 100 degrees Celsius.", "At one hundred degrees water turns to steam."),
    ("The lecture was boring.", "The talk was fascinating."),
    ("Attention is computed from queries and keys.", "Bread is baked from flour and water."),
    ("He does not like coffee.", "He dislikes coffee."),
)


def answers(model: Any) -> list[Any]:
    """Ten lists of atoms, or ten cosines; nothing of a model that is neither."""
    asked = {"rxnmapper": atom_maps, "minilm": cosines}
    name = Path(model.config.name_or_path).name.partition("-")[0]
    return asked[name](model) if name in asked else []


@torch.inference_mode()
def atom_maps(model: Any) -> list[list[int]]:
    """For each reaction, the token of the reactants, counted from 0, to which each atom of the product is assigned: the atom
    of its element that is attended to most, both ways together."""
    lines = (Path(model.config.name_or_path) / "vocab.txt").read_text(encoding="utf-8").splitlines()
    number = {token: place for place, token in enumerate(lines)}
    return [_atom_map(model, number, reaction) for reaction in REACTIONS]


def _atom_map(model: Any, number: dict[str, int], reaction: str) -> list[int]:
    tokens = ["[CLS]", *_TOKEN.findall(reaction), "[SEP]"]
    ids = torch.tensor([[number[token] for token in tokens]])
    with watched(_LAYER) as found:
        model(ids, attention_mask=torch.ones_like(ids))
    weights = found[0][0, _HEAD].double()
    middle = tokens.index(">>")
    elements = {place: _element(token) for place, token in enumerate(tokens) if _element(token)}
    reactants = [place for place in elements if place < middle]
    both = weights + weights.T
    found = []
    for place in (place for place in elements if place > middle):
        alike = [candidate for candidate in reactants if elements[candidate] == elements[place]]
        found.append(alike[int(both[place, alike].argmax())] if alike else -1)
    return found


def _element(token: str) -> str:
    found = None if token in ("[CLS]", "[SEP]") else _ATOM.match(token)
    return (found[1] or found[2]).capitalize() if found else ""


@torch.inference_mode()
def cosines(model: Any) -> list[float]:
    """Of each pair of sentences: their embeddings are the means of the last states at their own positions."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.config.name_or_path, local_files_only=True)
    found = []
    for pair in SENTENCES:
        given = tokenizer(list(pair), padding=True, return_tensors="pt")
        states, mask = model(**given).last_hidden_state, given["attention_mask"][..., None]
        one, two = (states * mask).sum(1) / mask.sum(1)
        found.append(float(torch.nn.functional.cosine_similarity(one, two, dim=0)))
    return found
