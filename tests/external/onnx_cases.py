"""ONNX's cases as problems of this contract: the one adapter through which the oracle and every implementation meet them.

Only Y is compared. The operator's other outputs (present_key, present_value and the score matrix at one of four stages) are
not in the contract, so `qk_matmul_output_mode`, which chooses the stage, changes nothing here.

What the contract has no field for is said with a boolean mask: the diagonal of a cache that is not at the end of the keys,
the number of keys of each sequence.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from harness.operators.attention.inputs import Inputs
from harness.problem import Problem
from tests.external.onnx_corpus import SLOTS, Node, corpus

READ = {"is_causal", "kv_num_heads", "left_window_size", "q_num_heads", "right_window_size", "scale", "softcap"}
OF_OTHER_OUTPUTS = {"qk_matmul_output_mode"}
ONLY_CHECKED = {"softmax_precision"}

FLOATS = {1: np.float32, 10: np.float16, 11: np.float64, 16: ml_dtypes.bfloat16}
"""Dtypes by their number in onnx.TensorProto."""


class NotExpressed(ValueError):
    """A case that this adapter would get wrong; the message says what it does not know."""


@dataclass(frozen=True)
class OnnxCase:
    """One case: the problem, its arrays, and ONNX's answer."""

    name: str
    problem: Problem
    inputs: Inputs
    y: np.ndarray
    """ONNX's output, in the canonical layout and the problem's dtype."""


@functools.cache
def cases() -> dict[str, OnnxCase]:
    """Every primary case of the corpus, by ONNX's name."""
    return {node.name: translated(node) for node in corpus()}


def translated(node: Node) -> OnnxCase:
    """A node as a problem with its arrays. Raises `NotExpressed` rather than leave anything out."""
    _check(node)
    given, attributes = node.inputs, node.attributes
    q_heads, kv_heads = attributes.get("q_num_heads"), attributes.get("kv_num_heads")
    q = _four_axes(given["Q"], q_heads)
    k, v = (
        np.concatenate([given[past], new], axis=2) if past in given else new
        for past, new in (
            ("past_key", _four_axes(given["K"], kv_heads)),
            ("past_value", _four_axes(given["V"], kv_heads)),
        )
    )
    batch, heads, q_len, head_dim = q.shape
    kv_len = k.shape[2]
    mask, bias = _mask_and_bias(given.get("attn_mask"), kv_len)
    if "nonpad_kv_seqlen" in given:
        mask = _both(mask, np.arange(kv_len) < _per_sequence(given["nonpad_kv_seqlen"]))
    causal, window, band = _diagonal(node, q_len, kv_len)
    mask = mask if band is None else _both(mask, band)
    problem = Problem(
        batch=batch,
        q_heads=heads,
        kv_heads=k.shape[1],
        q_len=q_len,
        kv_len=kv_len,
        head_dim=head_dim,
        v_head_dim=v.shape[3],
        dtype=str(q.dtype),
        scale=attributes.get("scale"),
        softcap=attributes.get("softcap") or None,
        causal=causal,
        window=window,
        mask=None if mask is None else f"random-{_form(mask)}",
        bias=None if bias is None else f"{'blocking' if np.isneginf(bias).any() else 'normal'}-{_form(bias)}",
    )
    return OnnxCase(node.name, problem, Inputs(q, k, v, mask, bias), _four_axes(node.y, q_heads))


def _check(node: Node) -> None:
    unknown = {*node.attributes} - READ - OF_OTHER_OUTPUTS - ONLY_CHECKED | {*node.inputs} - {*SLOTS}
    if unknown:
        raise NotExpressed(f"{node.name}: nothing is known of {', '.join(sorted(unknown))}")
    dtype = node.inputs["Q"].dtype
    if "softmax_precision" in node.attributes:
        softmax = FLOATS[node.attributes["softmax_precision"]]
        # A softmax in a wider dtype only brings Y closer; in a narrower one Y would be coarser than the bound of its dtype.
        if ml_dtypes.finfo(softmax).eps > ml_dtypes.finfo(dtype).eps:
            raise NotExpressed(f"{node.name}: a softmax in {np.dtype(softmax)} is too coarse for {dtype}")
    others = {
        slot: x.dtype for slot, x in node.inputs.items() if x.dtype not in (dtype, bool) and slot != "nonpad_kv_seqlen"
    }
    if others:
        raise NotExpressed(f"{node.name}: Q is {dtype}, and not of its dtype are {others}")


def _four_axes(x: np.ndarray, heads: int | None) -> np.ndarray:
    """(batch, length, heads * dim) as (batch, heads, length, dim); four axes as they are."""
    if x.ndim == 4:
        return x
    return np.ascontiguousarray(x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3))


def _per_sequence(lengths: np.ndarray) -> np.ndarray:
    return lengths.reshape(-1, 1, 1, 1)


def _mask_and_bias(given: np.ndarray | None, kv_len: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The operator's mask is boolean, or added to the scores; keys beyond a mask that is too short are blocked."""
    if given is None:
        return None, None
    boolean = given.dtype == bool
    missing = [(0, 0)] * (given.ndim - 1) + [(0, kv_len - given.shape[-1])]
    whole = np.pad(given, missing, constant_values=False if boolean else -np.inf)
    return (whole, None) if boolean else (None, whole)


def _diagonal(node: Node, q_len: int, kv_len: int) -> tuple[str | None, tuple[int, int] | None, np.ndarray | None]:
    """(causal, window, None) where the problem's own fields say what the node means, else (None, None, mask).

    The operator puts query i at the position i + offset, for causality and window alike: the offset is the length of the
    cache, or what precedes the queries in each sequence's keys, or 0. So a causal mask without a cache is top-left.
    """
    attributes = node.attributes
    causal = bool(attributes.get("is_causal", 0))
    left, right = (attributes.get(f"{side}_window_size", -1) for side in ("left", "right"))
    if not causal and left < 0 and right < 0:
        return None, None, None
    offset = np.zeros((1, 1, 1, 1), int)
    if "past_key" in node.inputs:
        offset += node.inputs["past_key"].shape[2]
    elif "nonpad_kv_seqlen" in node.inputs:
        offset = _per_sequence(node.inputs["nonpad_kv_seqlen"]) - q_len
    window = None if left < 0 and right < 0 else (left, right)
    if causal and (offset == 0).all():
        return "top-left", window, None
    if causal and (offset == kv_len - q_len).all():
        return "bottom-right", window, None
    if not causal and (offset == 0).all():
        return None, window, None
    distance = np.arange(kv_len) - np.arange(q_len)[:, None] - offset
    seen = (distance >= -left) | (left < 0)
    seen &= (distance <= right) | (right < 0)
    return None, None, seen & (distance <= 0) if causal else seen


def _both(one: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    return other if one is None else one & other


def _form(x: np.ndarray) -> str:
    """The axes of a mask or bias as a problem names them."""
    letters = "bhqk"[-x.ndim :]
    return "".join("1" if size == 1 else letter for size, letter in zip(x.shape, letters, strict=True))
