"""ListOps: nested lists of digits under four operators, and what they come to.

Nangia and Bowman 2018, arXiv 1804.06028, by the recipe of the Long Range Arena (Tay et al. 2021, arXiv 2011.04006): each
place is an operator with probability 1/4, of two to ten arguments, ten levels deep at most. `]` closes, and is a token.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator

from harness.data.examples import Example, prepared

Tree = int | tuple[str, list["Tree"]]

OPERATORS: dict[str, Callable[[list[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(statistics.median(values)),
    "[SM": lambda values: sum(values) % 10,
}
CLOSE = "]"
DEPTH, ARGUMENTS, OPERATOR_SHARE = 10, 10, 0.25

SHORTEST = 0.25
"""Of the longest: the published lengths are 500 to 2,000."""


def expressions(count: int, longest: int, seed: int) -> list[Example]:
    """So many distinct expressions of between a quarter of `longest` and `longest` tokens, each with its value."""
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < count:
        tree = _tree(draw, 1, longest)
        if tree is not None and SHORTEST * longest <= _length(tree) <= longest:
            found[" ".join(_tokens(tree))] = str(_value(tree))
    return prepared(found.items(), one_target=True)


def _tree(draw: random.Random, depth: int, room: int) -> Tree | None:
    """A tree, or None once it is sure to be too long."""
    if depth > 1 and (depth >= DEPTH or draw.random() > OPERATOR_SHARE):
        return draw.randrange(10)
    arguments: list[Tree] = []
    used = 2
    for _ in range(draw.randint(2, ARGUMENTS)):
        argument = _tree(draw, depth + 1, room - used)
        if argument is None:
            return None
        arguments.append(argument)
        used += _length(argument)
        if used > room:
            return None
    return draw.choice(list(OPERATORS)), arguments


def _length(tree: Tree) -> int:
    return 1 if isinstance(tree, int) else 2 + sum(map(_length, tree[1]))


def _tokens(tree: Tree) -> Iterator[str]:
    if isinstance(tree, int):
        yield str(tree)
        return
    yield tree[0]
    for argument in tree[1]:
        yield from _tokens(argument)
    yield CLOSE


def _value(tree: Tree) -> int:
    return tree if isinstance(tree, int) else OPERATORS[tree[0]]([_value(argument) for argument in tree[1]])
