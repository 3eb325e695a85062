"""Training a model with numba-flash inside: the losses are those of PyTorch's own attention."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from harness.models import building, enable  # noqa: E402
from harness.models.problem import Problem  # noqa: E402

STEPS = 100


def losses(attention):
    """Of a hundred steps of stochastic gradient descent on sequences that count."""
    model = building.built(Problem(model="tiny-gpt2", length=32)).train()
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    model.config.attn_pdrop = 0.0
    for block in model.transformer.h:
        block.attn.attn_dropout.p = 0.0
    model.set_attn_implementation(attention)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    first = torch.arange(4)[:, None] * 17
    found = []
    for step in range(STEPS):
        ids = (first + torch.arange(32) + step) % 128
        loss = model(ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return torch.tensor(found)


def test_a_hundred_losses_are_those_of_sdpa():
    found, expected = losses(enable("numba-flash")), losses("sdpa")
    assert expected[-1] < expected[0] - 0.5, "it learns"
    # Two orders of summing differ by 1e-7 in a step; a hundred steps of plain descent, which damps, make it some 1e-5.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
