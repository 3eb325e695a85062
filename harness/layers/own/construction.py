"""How a layer of one's own is made for a problem: arguments by their names, or as they were typed."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import UserError
from harness.layers.own.place import Place
from harness.operators.multi_head.problem import Problem

NAMES: Mapping[str, tuple[str, ...]] = {
    "width": ("width", "d_model", "embed_dim", "embed_size", "emb_dim", "emb_size", "d_embed", "n_embd", "dim", "model_dim",
              "hidden_size", "hidden_dim", "num_hiddens"),
    "heads": ("heads", "num_heads", "n_heads", "n_head", "nhead", "nheads", "h", "num_attention_heads"),
    "kv_heads": ("kv_heads", "num_kv_heads", "n_kv_heads", "num_key_value_heads"),
    "head_dim": ("head_dim", "head_size", "dim_head", "d_head", "key_dim", "value_dim", "d_k", "d_v"),
    "biases": ("biases", "bias", "use_bias", "qkv_bias"),
    "length": ("length", "max_len", "max_length", "block_size", "context_length", "seq_len", "max_seq_len"),
}  # fmt: skip
"""What an argument is called that is one of the sizes of a problem."""

FIXED = {**dict.fromkeys(("dropout", "dropout_rate", "drop_rate", "attn_dropout", "attn_drop"), 0.0), "batch_first": True}
"""Arguments with one value, whatever the problem."""

Make = Callable[[Problem], Any]


def sizes(problem: Problem) -> dict[str, Any]:
    """A problem's sizes by the names that may be typed."""
    return {
        "width": problem.width,
        "heads": problem.q_heads,
        "kv_heads": problem.kv_heads,
        "head_dim": problem.head_dim,
        "biases": problem.biases,
        "length": max(problem.q_len, problem.kv_len),
    }


def construction(cls: type, place: Place) -> tuple[Make, frozenset[str]]:
    """(what makes the layer for a problem, the sizes that it is made with).

    Raises `UserError` where an argument without a default has a name that says nothing.
    """
    return _typed(cls, place) if place.arguments is not None else _by_names(cls, place)


def _typed(cls: type, place: Place) -> tuple[Make, frozenset[str]]:
    names = {node.id for node in ast.walk(ast.parse(place.made_by, mode="eval")) if isinstance(node, ast.Name)}
    known = frozenset(NAMES)
    if unknown := sorted(names - known - {place.name, "True", "False", "None"}):
        raise UserError(f"{place.made_by} names {', '.join(unknown)}; known are {', '.join(NAMES)}, and numbers")
    code = compile(place.made_by, "--layer", "eval")

    def make(problem: Problem) -> Any:
        return eval(code, {"__builtins__": {}, place.name: cls, **sizes(problem)})

    return make, known & names


def _by_names(cls: type, place: Place) -> tuple[Make, frozenset[str]]:
    chosen: dict[str, str] = {}
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        size = next((size for size, names in NAMES.items() if parameter.name.lower() in names), None)
        if size is not None and (parameter.default is parameter.empty or size in ("biases", "kv_heads", "width", "heads")):
            chosen[parameter.name] = size
        elif parameter.default is parameter.empty and parameter.name not in FIXED:
            raise UserError(_unclear(place, inspect.signature(cls), parameter.name))
    if not any(needed <= {*chosen.values()} for needed in ({"width", "heads"}, {"heads", "head_dim"})):
        raise UserError(_unclear(place, inspect.signature(cls), ""))
    fixed = {name: value for name, value in FIXED.items() if name in inspect.signature(cls).parameters}

    def make(problem: Problem) -> Any:
        given = sizes(problem)
        return cls(**{name: given[size] for name, size in chosen.items()}, **fixed)

    return make, frozenset(chosen.values())


def _unclear(place: Place, signature: inspect.Signature, argument: str) -> str:
    what = f"what its argument {argument} should be" if argument else "which of its arguments are the width and the heads"
    required = [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD]
    known = {name: size for name in required for size, names in NAMES.items() if name.lower() in names}
    likely = [size for size in ("width", "heads") if size not in known.values()]
    others = (name for name in required if name not in known)
    known |= dict(zip(others, [*likely, *["width"] * len(required)], strict=False))
    typed = ", ".join(f"{name}={known[name]}" for name in required) or "width, heads"
    return (
        f"{place.name}{signature}: its signature does not say {what}; write it behind the name, such as "
        f'--layer "{place.path.name}:{place.name}({typed})", from {", ".join(NAMES)} and numbers'
    )
