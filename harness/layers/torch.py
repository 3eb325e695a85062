"""The multi-head layer as a `torch.nn.Module`, with any registered kernel of attention inside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from harness.layers import checks
from harness.layers.torch_kernels import kernel


class MultiHeadAttention(nn.Module):
    """Concat(head_1 … head_h) W^O with head_i = Attention(x W^Q_i, y W^K_i, y W^V_i). Vaswani et al. 2017, sec. 3.2.2.

    `layer(x)` is self-attention, `layer(x, y)` cross-attention: x `(batch, length, width)`, y `(batch, keys, y_width)`, the
    result `(batch, length, out_width)`. `mask` is boolean, True where a query may attend, broadcastable to
    `(batch, heads, length, keys)`. `cache` is a pair of keys and values, `(batch, kv_heads, positions, dim)`, of positions
    before x. Dropout acts on the weights after the softmax, in training only, and scales what it keeps by 1/(1 - dropout).

    `attention` is the name of a registered implementation (`python -m harness list`), or "sdpa": PyTorch's own. One that is
    not of PyTorch gets the tensors' memory; one without gradients can only be used without them.

    Raises `ValueError` for sizes that do not fit.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        v_head_dim: int | None = None,
        y_width: int | None = None,
        out_width: int | None = None,
        biases: bool = True,
        causal: str | None = None,
        window: tuple[int, int] | None = None,
        softcap: float | None = None,
        scale: float | None = None,
        dropout: float = 0.0,
        attention: str = "sdpa",
    ):
        super().__init__()
        self.width, self.heads = checks.at_least_one("width", width), checks.at_least_one("heads", heads)
        self.kv_heads = checks.at_least_one("kv_heads", heads if kv_heads is None else kv_heads)
        checks.share(("heads", "kv_heads"), self.heads, self.kv_heads)
        self.head_dim = checks.head_dim("head_dim", head_dim, self.width, self.heads)
        self.v_head_dim = checks.at_least_one("v_head_dim", self.head_dim if v_head_dim is None else v_head_dim)
        self.y_width = checks.at_least_one("y_width", width if y_width is None else y_width)
        self.out_width = checks.at_least_one("out_width", width if out_width is None else out_width)
        self.causal, self.window = checks.alignment("causal", causal), window
        self.softcap, self.dropout = checks.softcap(softcap), checks.dropout(dropout)
        self.scale = 1 / math.sqrt(self.head_dim) if scale is None else scale
        self.attention = attention
        d, dv = self.head_dim, self.v_head_dim
        self.q_proj = nn.Linear(self.width, self.heads * d, bias=biases)
        self.k_proj = nn.Linear(self.y_width, self.kv_heads * d, bias=biases)
        self.v_proj = nn.Linear(self.y_width, self.kv_heads * dv, bias=biases)
        self.o_proj = nn.Linear(self.heads * dv, self.out_width, bias=biases)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights Glorot uniform, biases zero."""
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.o_proj):
            nn.init.xavier_uniform_(projection.weight)
            if projection.bias is not None:
                nn.init.zeros_(projection.bias)

    def forward(
        self,
        x: torch.Tensor,
        y: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        cache: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The layer's output."""
        checks.sequence("x", x.shape, self.width)
        y = x if y is None else y
        checks.sequence("y", y.shape, self.y_width)
        q = _split(self.q_proj(x), self.heads)
        k, v = _split(self.k_proj(y), self.kv_heads), _split(self.v_proj(y), self.kv_heads)
        if cache is not None:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
        if mask is not None:
            checks.boolean(str(mask.dtype).removeprefix("torch."))
            checks.mask(mask.shape, (*q.shape[:3], k.shape[2]))
        return self.o_proj(self._attend(q, k, v, mask).transpose(1, 2).flatten(2))

    def load(self, weights: Mapping[str, Any]) -> None:
        """Take weights in the harness's form: wq `(width, heads, dim)`, … wo `(heads, dim, width)`, bq … bo.

        Raises `ValueError` for a weight of another shape, for one that is missing, and for biases that the module has not.
        """
        checks.loaded(weights, self._shapes())
        for letter, projection in zip("qkvo", (self.q_proj, self.k_proj, self.v_proj, self.o_proj), strict=True):
            weight = torch.as_tensor(weights[f"w{letter}"])
            with torch.no_grad():
                projection.weight.copy_((weight.flatten(0, 1) if letter == "o" else weight.flatten(1)).T)
                if projection.bias is not None:
                    projection.bias.copy_(torch.as_tensor(weights[f"b{letter}"]).flatten())

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the weights and biases in the harness's form."""
        h, hkv, d, dv = self.heads, self.kv_heads, self.head_dim, self.v_head_dim
        shapes: dict[str, tuple[int, ...]] = {
            "wq": (self.width, h, d),
            "wk": (self.y_width, hkv, d),
            "wv": (self.y_width, hkv, dv),
            "wo": (h, dv, self.out_width),
        }
        biases: dict[str, tuple[int, ...]] = {"bq": (h, d), "bk": (hkv, d), "bv": (hkv, dv), "bo": (self.out_width,)}
        return shapes if self.q_proj.bias is None else shapes | biases

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        dropout = self.dropout if self.training else 0.0
        if self.attention == "sdpa" and self.softcap is None:
            return self._sdpa(q, k, v, mask, dropout)
        if dropout:
            raise ValueError(f'{self.attention} has no dropout; train with dropout = 0, or with attention = "sdpa"')
        name = "torch-eager" if self.attention == "sdpa" else self.attention
        options = {"causal": self.causal, "window": self.window, "softcap": self.softcap, "scale": self.scale}
        return kernel(name, q, k, v, mask, **options)

    def _sdpa(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, dropout: float
    ) -> torch.Tensor:
        """PyTorch's own; zero for a query that may attend to nothing."""
        length, keys = q.shape[2], k.shape[2]
        flag = self.causal == "top-left" or (self.causal is not None and length == keys)
        flag = flag and self.window is None and mask is None
        if not flag and (self.causal or self.window):
            distance = torch.arange(keys, device=q.device) - torch.arange(length, device=q.device)[:, None]
            distance = distance - (keys - length if self.causal == "bottom-right" else 0)
            band = distance <= 0 if self.causal else torch.ones_like(distance, dtype=torch.bool)
            left, right = self.window or (-1, -1)
            band = band & (distance >= -left) if left >= 0 else band
            band = band & (distance <= right) if right >= 0 else band
            mask = band if mask is None else band & mask
        if mask is not None and mask.is_cuda and mask.shape[-1] != keys:  # The fused kernels refuse it.
            mask = mask.expand(*mask.shape[:-1], keys).contiguous()
        o = nn.functional.scaled_dot_product_attention(
            q, k, v, mask, dropout, flag, scale=self.scale, enable_gqa=self.heads != self.kv_heads
        )
        if mask is not None and mask.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
            return o.masked_fill(~mask.any(dim=-1, keepdim=True), 0)  # cuDNN leaves something else there.
        return o


def _split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(batch, length, heads · dim) as (batch, heads, length, dim)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
