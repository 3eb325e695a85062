"""The PyTorch module gives the oracle's answers, trains, and is saved and loaded."""

import io

import pytest
import torch

from harness.layers.torch import MultiHeadAttention
from tests.layers import answers


def made(problem, **options):
    return MultiHeadAttention(
        problem.width,
        problem.q_heads,
        kv_heads=problem.kv_heads,
        head_dim=problem.head_dim,
        v_head_dim=problem.v_head_dim,
        y_width=problem.y_width,
        out_width=problem.out_width,
        biases=problem.biases,
        causal=problem.causal,
        scale=problem.scale,
        softcap=problem.softcap,
        **options,
    )


def tensors(*arrays):
    return (None if array is None else torch.from_numpy(array) for array in arrays)


@pytest.mark.parametrize("attention", ["sdpa", "numpy", "torch-eager"])
@pytest.mark.parametrize("name", answers.PROBLEMS)
def test_oracle(name, attention):
    weights, x, y, mask = answers.arrays(name)
    module = made(answers.PROBLEMS[name], attention=attention)
    module.load(weights)
    with torch.no_grad():
        answers.check(name, module(*tensors(x, y, mask)))


@pytest.mark.parametrize("name", ["sizes", "plain"])
def test_state_dict_round_trip(name):
    problem = answers.PROBLEMS[name]
    torch.manual_seed(0)
    first, second = made(problem), made(problem)
    x = torch.randn(problem.batch, problem.q_len, problem.width)
    assert not torch.equal(first(x), second(x))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(first(x), second(x))


@pytest.mark.parametrize("attention", ["sdpa", "numpy"])
def test_training_lowers_the_loss(attention):
    torch.manual_seed(0)
    module = MultiHeadAttention(12, 4, causal="top-left", attention=attention)
    x = torch.randn(8, 6, 12)
    target = x.cumsum(1) / torch.arange(1, 7)[:, None]
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[0, 0] = False  # The first position sees nothing; its gradient is zero.
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((module(x, mask=mask) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_cache_continues_a_sequence():
    torch.manual_seed(0)
    module = MultiHeadAttention(12, 4, kv_heads=2, causal="bottom-right").double()
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    with torch.no_grad():
        whole = module(x)
        past = [projection(x[:, :4]).unflatten(-1, (2, -1)).transpose(1, 2) for projection in (module.k_proj, module.v_proj)]
        torch.testing.assert_close(module(x[:, 4:], cache=tuple(past)), whole[:, 4:], rtol=1e-12, atol=1e-12)
