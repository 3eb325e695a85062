"""numba-flash as a custom operator: what PyTorch itself checks of one, and its gradients."""

import pytest

torch = pytest.importorskip("torch")

from harness.layers import torch_operator as op  # noqa: E402

CASES = {
    "plain": {},
    "causal": {"causal": "top-left"},
    "scaled and capped": {"scale": 0.3, "softcap": 2.0},
    "window": {"causal": "top-left", "window": (3, -1)},
}


def tensors(dtype=torch.float64, grad=True, length=7, kv_heads=2):
    torch.manual_seed(0)
    shapes = (2, 4, length, 5), (2, kv_heads, length, 5), (2, kv_heads, length, 3)
    return [torch.randn(shape, dtype=dtype).requires_grad_(grad) for shape in shapes]


def by_sdpa(q, k, v, mask=None):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)


@pytest.mark.parametrize("case", CASES)
def test_gradients_agree_with_differences(case):
    assert torch.autograd.gradcheck(lambda q, k, v: op.attention(q, k, v, **CASES[case]), tensors())


def test_gradients_with_a_mask_and_a_bias():
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[0, ..., 5:] = False
    bias = torch.randn(1, 4, 7, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda q, k, v: op.attention(q, k, v, mask, bias), tensors())


@pytest.mark.parametrize("keeps_state", [True, False])
def test_pytorchs_own_check_of_operators(keeps_state):
    q, k, v = tensors(torch.float32, grad=keeps_state)
    torch.library.opcheck(op.forward, (q, k, v, None, None, "top-left", [], None, None, keeps_state))


def test_pytorchs_own_check_of_the_backward_operator():
    q, k, v = tensors(torch.float32, grad=False)
    o, state = op.forward(q, k, v, None, None, "", [], None, None, True)
    torch.library.opcheck(op.backward, (torch.randn_like(o), q, k, v, o, state, None, None, "", [], None, None))


def test_a_compiled_function_gives_the_same():
    q, k, v = tensors(torch.float32)

    def loss(q, k, v):
        return op.attention(q.sin(), k, v, causal="top-left").square().sum()

    plain = torch.autograd.grad(loss(q, k, v), (q, k, v))
    compiled = torch.autograd.grad(torch.compile(loss, backend="aot_eager", fullgraph=True)(q, k, v), (q, k, v))
    torch.testing.assert_close(compiled, plain)


def test_strides_of_any_kind_are_read_where_they_lie():
    q, k, v = (x.detach().transpose(1, 2).contiguous().transpose(1, 2) for x in tensors(torch.float32))
    torch.testing.assert_close(op.attention(q, k, v), by_sdpa(q, k, v))


def test_a_bias_that_wants_a_gradient_is_refused():
    q, k, v = tensors()
    bias = torch.zeros(1, 1, 7, 7, dtype=torch.float64, requires_grad=True)
    with pytest.raises(NotImplementedError, match="bias"):
        op.attention(q, k, v, bias=bias)
