"""Tensors in other frameworks: in the same memory where that is possible, and counted where it is not."""

import functools

import pytest

torch = pytest.importorskip("torch")

from harness.frameworks import adapter  # noqa: E402
from harness.models.exchange import Exchange  # noqa: E402

SHAPE = (2, 3, 64, 16)


@functools.cache
def made(framework):
    """Of some frameworks there can be one in a process."""
    return adapter(framework)("cpu", 2)


def exchange(framework):
    if reason := adapter(framework).unavailable("cpu"):
        pytest.skip(reason)
    return Exchange(made(framework))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("framework", ["numpy", "numba", "torch", "jax", "tensorflow", "onnxruntime", "openvino"])
def test_values_come_back(framework, dtype):
    between, x = exchange(framework), torch.randn(SHAPE).to(dtype)
    back = between.to_tensor(between.to_native(x))
    assert back.dtype == dtype and torch.equal(back, x)
    assert between.seconds > 0


@pytest.mark.parametrize("framework", ["numpy", "numba", "torch", "jax", "tensorflow", "onnxruntime", "openvino"])
def test_an_array_in_one_piece_is_not_copied(framework):
    between = exchange(framework)
    native = between.to_native(torch.randn(SHAPE))
    between.to_tensor(native)
    assert between.copied_bytes == 0


@pytest.mark.parametrize("framework, copied", [("numpy", 0), ("numba", 0), ("torch", 0), ("jax", 1), ("tensorflow", 1)])
def test_a_transposed_array_is_copied_where_arrays_have_no_strides(framework, copied):
    between = exchange(framework)
    x = torch.randn(SHAPE).transpose(1, 2)
    between.to_native(x)
    assert between.copied_bytes == copied * x.numel() * 4


def test_a_mask_reaches_jax_and_tensorflow():
    for framework in ("jax", "tensorflow"):
        between, mask = exchange(framework), torch.tensor([[True, False]])
        assert between.to_tensor(between.to_native(mask)).tolist() == [[True, False]]
