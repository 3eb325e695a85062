"""torch.nn.MultiheadAttention.

Mapping: in_proj_weight is W^Q, W^K and W^V as matrices `(heads · dim, width)`, one below the other; where y has another
width than x they are q_proj_weight, k_proj_weight and v_proj_weight. in_proj_bias is their biases, joined; out_proj is W^O
and b^O. Its boolean masks are True where a query may not attend.
"""

from dataclasses import replace
from functools import partial

from harness.masks import combined_mask, four_axes, score_shape
from harness.multi_head import EVERYTHING, MULTI_HEAD, Problem
from harness.registry import Differentiable, implementation

from ._mapping import factor_of, inexact_factor, mask_by_head, matrix, scaled


def _refused(problem):
    reasons = inexact_factor(problem) + (mask_by_head(problem) if _may_be_fast(problem) else [])
    if problem.v_head_dim * problem.q_heads != problem.width:
        reasons.append("embed_dim is the width of x, of all heads together, and of the output")
    return reasons


_SUPPORTS = replace(
    EVERYTHING,
    softcap=False,
    out_width=False,
    head_dim=False,
    v_head_dim=False,
    grouped_heads=False,
    cache=False,
    reasons={
        "softcap": "nn.MultiheadAttention has no softcap",
        "out_width": "embed_dim is the width of the output too",
        "head_dim": "head_dim is embed_dim divided by num_heads",
        "v_head_dim": "values are as wide as keys",
        "grouped_heads": "as many key/value heads as query heads",
        "cache": "the layer projects all keys that it is given",
    },
    extra_check=_refused,
)


def _bare():
    """The layer as it is, given the mask and the causal hint as they come."""

    def of(problem, weights):
        layer = _layer(problem).eval().requires_grad_(False)
        _assign(layer, weights)

        def call(x, y, mask, causal):
            y = x if y is None else y
            by_head = None if mask is None else _by_head(problem, mask)
            return layer(x, y, y, attn_mask=by_head, need_weights=False, is_causal=causal)[0]

        return call

    return of


@implementation(
    "torch-mha",
    operator=MULTI_HEAD,
    framework="torch",
    devices=("cpu", "cuda"),
    supports=_SUPPORTS,
    library_call=_bare,
)
def torch_mha(problem: Problem):
    """torch.nn.MultiheadAttention with need_weights=False; its fast path for inference where it takes it."""
    layer = _layer(problem)

    def load(**weights):
        layer.to(weights["wq"].device).eval()
        _assign(layer, scaled(problem, weights))
        if problem.direction == "backward":
            return _differentiable(problem, layer)
        layer.requires_grad_(False)
        return lambda x, y=None, mask=None: _call(problem, layer, x, y, mask)

    return load


def _layer(problem):
    import torch

    widths = {} if problem.y_width == problem.width else {"kdim": problem.y_width, "vdim": problem.y_width}
    dtype = getattr(torch, problem.dtype)
    return torch.nn.MultiheadAttention(
        problem.width, problem.q_heads, bias=problem.biases, batch_first=True, dtype=dtype, **widths
    )


def _may_be_fast(problem):
    """Whether the layer may take its fast path, where a head with nothing to attend to is nan; elsewhere it is zero."""
    return problem.biases and not problem.cross and problem.direction == "forward"


def _call(problem, layer, x, y, mask):
    """The layer; a position that the fast path would make nan attends to everything, and is then set to b^O."""
    import torch

    y = x if y is None else y
    seen = combined_mask(problem.attention, mask, partial(torch.arange, device=x.device))
    any_key = padding = hidden = None
    if seen is not None and problem.attention.may_have_empty_rows and _may_be_fast(problem):
        any_key = four_axes(seen.any(dim=-1, keepdim=True))
        seen = seen | ~any_key
    if seen is not None and problem.mask == "padding" and not problem.attention.banded:
        padding = ~seen[:, 0, 0]
    elif seen is not None:
        hidden = ~seen.expand(problem.q_len, problem.kv_len) if seen.ndim < 3 else _by_head(problem, ~seen)
    out, _ = layer(x, y, y, key_padding_mask=padding, need_weights=False, attn_mask=hidden)
    if any_key is None:
        return out
    return torch.where(any_key.reshape(-1, any_key.shape[-2], 1), out, layer.out_proj.bias)


def _by_head(problem, hidden):
    """A mask as the layer has it, (batch · heads, length, keys)."""
    return hidden.expand(score_shape(problem.attention)).flatten(0, 1)


def _assign(layer, weights):
    import torch

    matrices = {letter: matrix(f"w{letter}", weights[f"w{letter}"]).T for letter in "qkvo"}
    with torch.no_grad():
        if layer.in_proj_weight is not None:
            layer.in_proj_weight.copy_(torch.cat([matrices[letter] for letter in "qkv"]))
        else:
            for letter in "qkv":
                getattr(layer, f"{letter}_proj_weight").copy_(matrices[letter])
        layer.out_proj.weight.copy_(matrices["o"])
        if "bo" in weights:
            layer.in_proj_bias.copy_(torch.cat([weights[f"b{letter}"].flatten() for letter in "qkv"]))
            layer.out_proj.bias.copy_(weights["bo"])


def _differentiable(problem, layer):
    """Gradients of the layer's own parameters, in the form of the weights that they came from."""
    import torch

    packed = layer.in_proj_weight is not None
    own = [layer.in_proj_weight] if packed else [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight]
    own.append(layer.out_proj.weight)
    own += [layer.in_proj_bias, layer.out_proj.bias] if problem.biases else []
    factor, shapes = factor_of(problem), problem.output_shapes

    def forward(x, y=None, mask=None):
        leaves = [a.detach().requires_grad_() for a in (x, y) if a is not None]
        out = _call(problem, layer, leaves[0], leaves[1] if y is not None else None, mask)
        return out.detach(), (out, leaves)

    def backward(saved, dout):
        out, leaves = saved
        found = list(torch.autograd.grad(out, [*leaves, *own], dout, retain_graph=True))
        named = {f"d{name}": found.pop(0) for name, _ in zip(("x", "y"), leaves, strict=False)}
        of_weights = list(found.pop(0).chunk(3)) if packed else [found.pop(0) for _ in "qkv"]
        named |= {f"dw{letter}": d.T for letter, d in zip("qkv", of_weights, strict=True)} | {"dwo": found.pop(0).T}
        if problem.biases:
            named |= {f"db{letter}": d for letter, d in zip("qkv", found.pop(0).chunk(3), strict=True)} | {
                "dbo": found.pop(0)
            }
        for name in ("dwq", "dbq"):
            if name in named and factor != 1:
                named[name] = named[name] * factor
        return tuple(named[name].reshape(shape) for name, shape in shapes.items())

    return Differentiable(forward, backward)
