"""PyTorch's tensors and NumPy's arrays in the same memory. For workers only."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch


def as_numpy(tensor: Any) -> np.ndarray:
    """The same memory as an array, without its gradient."""
    tensor = tensor.detach()
    return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16) if tensor.dtype == torch.bfloat16 else tensor.numpy()


def as_tensor(array: np.ndarray) -> Any:
    """The same memory as a tensor; a copy of what may not be written to, such as the outputs of JAX."""
    if not array.flags.writeable:
        array = array.copy()
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def form(x: Any) -> str:
    """The axes of a mask or a bias as a problem's name has them, `1` where it broadcasts: b11k, 1hqk."""
    named = "".join(name if size > 1 else "1" for name, size in zip("bhqk"[-x.ndim :], x.shape, strict=True))
    return named[:-1] + "k"
