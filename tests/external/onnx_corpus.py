"""ONNX's own cases of its `Attention` operator (opset 23 to 25), as they lie in the onnx package (Apache-2.0).

They are built in memory when onnx.backend.test.case.node.attention is imported: the inputs from NumPy's generator with a
fixed seed, the outputs by ONNX's reference implementation.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

SLOTS = ("Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen")
"""The operator's inputs, in their order; the node names those that it is given."""


@dataclass(frozen=True)
class Node:
    """One case: a single `Attention` node, what goes in and what should come out."""

    name: str
    inputs: dict[str, np.ndarray]
    """By slot, those that are given."""
    attributes: dict[str, Any]
    """Those that are set; the operator's defaults hold for the others."""
    y: np.ndarray
    """The first output, computed step by step in the dtype of Q."""


@functools.cache
def corpus() -> tuple[Node, ...]:
    """Every primary case. The `_expanded` ones are the same arrays through the operator's function body, and left out."""
    node = importlib.import_module("onnx.backend.test.case.node")
    wanted, node._TargetOpType = node._TargetOpType, "Attention"  # Else 1900 cases of all operators, in seconds.
    try:
        importlib.import_module("onnx.backend.test.case.node.attention")
    finally:
        node._TargetOpType = wanted
    primary = [case for case in node._NodeTestCases if [n.op_type for n in case.model.graph.node] == ["Attention"]]
    return tuple(_node(case) for case in primary)


def _node(case: Any) -> Node:
    """What ONNX calls a test case, with its inputs by slot: the node's input names are "" where none is given."""
    from onnx import helper

    (node,) = case.model.graph.node
    inputs, outputs = case.data_sets[0]
    named = [slot for slot, name in zip(SLOTS, node.input, strict=False) if name]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return Node(case.name, dict(zip(named, inputs, strict=True)), attributes, outputs[0])


def digest() -> str:
    """A hash of the corpus: names, attributes, every bit of the inputs, dtype and shape of the outputs.

    Not the outputs' bits: they are computed here, and change with the processor (OpenBLAS adds in another order with AVX-512
    than with AVX2). That they are the right ones is what the oracle's test says.
    """
    total = hashlib.sha256()
    for node in corpus():
        total.update(repr((node.name, sorted(node.attributes.items()), str(node.y.dtype), node.y.shape)).encode())
        for slot, array in node.inputs.items():
            total.update(repr((slot, str(array.dtype), array.shape)).encode() + array.tobytes())
    return total.hexdigest()[:16]
