"""ONNX's own cases of its `Attention` operator (opset 23 to 25), as problems of this contract.

They lie in the onnx package (onnx.backend.test.case.node.attention, Apache-2.0) and are built in memory. Of an operator's
outputs only Y is compared: the present keys and values and the score matrix that it can give too are not in our contract.
What the contract has no word for is said with masks: offsets of a cache, the number of keys of each sequence, masks that are
shorter than the keys.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import math
from dataclasses import dataclass

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem

INPUTS = ("Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen")


@dataclass(frozen=True)
class OnnxCase:
    """One case: the problem, its arrays, and ONNX's answer."""

    name: str
    problem: Problem
    inputs: Inputs
    y: np.ndarray
    """Canonical, in the problem's dtype, in which ONNX computed it."""


@functools.cache
def cases() -> tuple[OnnxCase, ...]:
    """Every primary case; the `_expanded` ones are the same arrays through the operator's function body."""
    return tuple(_translated(name, arrays, attributes) for name, arrays, attributes in _raw())


def digest() -> str:
    """A hash of every input and output, which pins the corpus."""
    total = hashlib.sha256()
    for name, arrays, attributes in _raw():
        total.update(repr((name, sorted(attributes.items()))).encode())
        for slot in sorted(arrays):
            total.update(slot.encode() + np.ascontiguousarray(arrays[slot]).tobytes())
    return total.hexdigest()[:16]


@functools.cache
def _raw() -> tuple[tuple[str, dict[str, np.ndarray], dict[str, object]], ...]:
    """(name, arrays by slot, attributes) of every case that is a single Attention node."""
    import onnx.backend.test.case.node as node
    from onnx import helper

    node._TargetOpType = "Attention"  # Builds the cases of this operator only, in a quarter of a second.
    importlib.import_module("onnx.backend.test.case.node.attention")
    found = []
    for case in node._NodeTestCases:
        graph = case.model.graph
        if len(graph.node) != 1 or graph.node[0].op_type != "Attention":
            continue
        inputs, outputs = case.data_sets[0]
        given = iter(inputs)
        arrays = {slot: next(given) for slot, name in zip(INPUTS, graph.node[0].input, strict=False) if name}
        arrays["Y"] = outputs[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in graph.node[0].attribute}
        found.append((case.name, arrays, attributes))
    return tuple(found)


def _translated(name: str, arrays: dict[str, np.ndarray], attributes: dict) -> OnnxCase:
    q, k, v = (_four_axes(arrays[slot], attributes, slot) for slot in "QKV")
    past = 0
    if "past_key" in arrays:
        past = arrays["past_key"].shape[2]
        k = np.concatenate([arrays["past_key"], k], axis=2)
        v = np.concatenate([arrays["past_value"], v], axis=2)
    batch, q_heads, q_len, head_dim = q.shape
    kv_len = k.shape[2]
    scale = attributes.get("scale")
    problem = Problem(
        batch=batch,
        q_heads=q_heads,
        kv_heads=k.shape[1],
        q_len=q_len,
        kv_len=kv_len,
        head_dim=head_dim,
        v_head_dim=v.shape[3],
        dtype=str(q.dtype),
        scale=1 / math.sqrt(head_dim) if scale is None else float(scale),
        softcap=float(attributes["softcap"]) if attributes.get("softcap", 0) > 0 else None,
    )
    mask, bias = _given_mask(arrays.get("attn_mask"), kv_len)
    lengths = arrays.get("nonpad_kv_seqlen")
    if lengths is not None:
        mask = _both(mask, np.arange(kv_len) < lengths.reshape(-1, 1, 1, 1))
    window = tuple(int(attributes.get(f"{side}_window_size", -1)) for side in ("left", "right"))
    causal = bool(attributes.get("is_causal", 0))
    changes: dict[str, object] = {}
    aligned = {0: "top-left", kv_len - q_len: "bottom-right"}
    if lengths is None and past in aligned and (causal or past == 0):
        changes["causal"] = aligned[past] if causal else None
        changes["window"] = window if max(window) >= 0 else None
    elif causal or max(window) >= 0:
        offset = past if lengths is None else lengths.reshape(-1, 1, 1, 1) - q_len
        mask = _both(mask, _band(q_len, kv_len, offset, causal, window))
    changes["mask"] = None if mask is None else f"random-{_form(mask)}"
    changes["bias"] = None if bias is None else f"{'blocking' if np.isneginf(bias).any() else 'normal'}-{_form(bias)}"
    return OnnxCase(name, problem.replace(**changes), Inputs(q, k, v, mask, bias), _four_axes(arrays["Y"], attributes, "Y"))


def _four_axes(x: np.ndarray, attributes: dict, slot: str) -> np.ndarray:
    """(batch, length, heads * dim) as (batch, heads, length, dim); four axes as they are."""
    if x.ndim == 4:
        return x
    heads = attributes["kv_num_heads" if slot in "KV" else "q_num_heads"]
    return np.ascontiguousarray(x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3))


def _given_mask(mask: np.ndarray | None, kv_len: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(boolean mask, bias), blocked beyond a mask that is shorter than the keys."""
    if mask is None:
        return None, None
    boolean = mask.dtype == bool
    short = kv_len - mask.shape[-1] if mask.shape[-1] > 1 or kv_len == 1 else 0
    if short:
        fill = False if boolean else -np.inf
        mask = np.concatenate([mask, np.full((*mask.shape[:-1], short), fill, mask.dtype)], axis=-1)
    return (mask, None) if boolean else (None, mask)


def _both(one: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    return other if one is None else one & other


def _band(q_len: int, kv_len: int, offset: object, causal: bool, window: tuple[int, ...]) -> np.ndarray:
    """True where a query sees a key around the diagonal that starts at `offset`."""
    distance = np.arange(kv_len) - np.arange(q_len)[:, None] - offset
    seen = distance <= 0 if causal else np.ones_like(distance, bool)
    left, right = window
    seen = seen & (distance >= -left) if left >= 0 else seen
    return seen & (distance <= right) if right >= 0 else seen


def _form(x: np.ndarray) -> str:
    """The axes of a mask or bias as the problem names them."""
    letters = "bhqk"[-x.ndim :]
    return "".join("1" if size == 1 else letter for size, letter in zip(x.shape, letters, strict=True))
