"""How a layer of one's own is called: which of its arguments is x, which is y, which is the mask."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError

X = ("x", "q", "query", "queries", "query_states", "inputs", "input", "inputs_q", "x_q", "hidden_states", "tgt", "target")
KEYS = ("k", "key", "keys", "x_k", "v", "value", "values", "x_v", "kv", "x_kv", "inputs_k", "inputs_v", "inputs_kv")
Y = ("y", "context", "memory", "source", "src", "enc_output", "encoder_output", "encoder_outputs", "encoder_hidden_states")
MASK = ("mask", "attn_mask", "attention_mask", "src_mask")
"""What arguments are called, in lower case. KEYS are always given, Y in cross-attention and where it has no default."""

TRAINING = "training"


@dataclass(frozen=True)
class Call:
    """The arguments of a call by their names: "x", "keys" (y, or x in self-attention), "y" (in cross-attention), "mask"."""

    arguments: Mapping[str, str]
    text: str
    """As it is written."""

    @property
    def takes_mask(self) -> bool:
        return "mask" in self.arguments.values()

    @property
    def takes_y(self) -> bool:
        return bool({"keys", "y", "y?"} & {*self.arguments.values()})

    def keywords(self, x: Any, y: Any = None, mask: Any = None) -> dict[str, Any]:
        """The arrays of a problem by the layer's own names."""
        source = x if y is None else y
        given = {"x": x, "keys": source, "y": source, "y?": y, "mask": mask, "training": False}
        return {name: given[role] for name, role in self.arguments.items() if role != "y?" or y is not None}


def calling(function: Callable[..., Any], where: str) -> Call:
    """How `function`, the layer's `call` or `forward`, is called. Raises `UserError` where its arguments do not say."""
    found: dict[str, str] = {}
    unknown = []
    _, *parameters = inspect.signature(function).parameters.values()  # Without self.
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        role = _role(parameter.name.lower(), required)
        if role:
            found[parameter.name] = role
        elif required:
            unknown.append(parameter.name)
    if len(unknown) == 1 and "x" not in found.values():
        found = {unknown[0]: "x", **found}
        unknown = []
    written = f"{where} called with {inspect.Signature([one.replace(annotation=one.empty) for one in parameters])}"
    if unknown or list(found.values()).count("x") != 1:
        what = f"what {', '.join(unknown)} should be" if unknown else "which argument is x"
        raise UserError(
            f"{written}: that does not say {what}; call its arguments x, or x and y, or q, k and v, and mask if it takes one"
        )
    return Call(found, written)


def _role(name: str, required: bool) -> str:
    if name in X:
        return "x"
    if name in KEYS:
        return "keys"
    if name in Y:
        return "y" if required else "y?"
    if name in MASK:
        return "mask"
    return TRAINING if name == TRAINING else ""
