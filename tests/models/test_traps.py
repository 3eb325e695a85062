"""What goes wrong with attention functions in transformers, silently, and must not here.

Each trap was seen in its issue tracker or its source: a missing mask function, a mask that is None where it may be left out,
static caches, causality that is given with a call, names with "flash" in them, weights that only eager attention returns.
"""

import copy

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from harness.errors import UserError  # noqa: E402
from harness.models import building, enable  # noqa: E402
from harness.models.bridge import Refused  # noqa: E402
from harness.models.problem import Problem  # noqa: E402

TOLERANCE = {"rtol": 0, "atol": 2e-5}
"""Logits of the tiny models are below 1 in size; two orders of summing float32 differ by some 1e-6 after two layers."""


@pytest.fixture(scope="module")
def models():
    """(name) -> a model with its own eager attention, and the same with numba-flash."""
    made = {}

    def pair(name):
        if name not in made:
            eager = building.built(Problem(model=name, length=8))
            eager.set_attn_implementation("eager")
            ours = copy.deepcopy(eager)
            ours.set_attn_implementation(enable("numba-flash"))
            made[name] = eager, ours
        return made[name]

    return pair


def ids(batch=2, length=12):
    return torch.randint(3, 128, (batch, length), generator=torch.Generator().manual_seed(1))


def padded(side):
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[0, slice(0, 5) if side == "left" else slice(7, 12)] = 0
    return mask


@torch.no_grad()
def both(pair, **given):
    eager, ours = pair
    return eager(**given).logits, ours(**given).logits


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["tiny-bert", "tiny-gpt2", "tiny-llama"])
def test_padding_and_causality_survive(models, name, side):
    mask = padded(side)
    expected, found = both(models(name), input_ids=ids(), attention_mask=mask)
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], **TOLERANCE)


def test_what_is_behind_a_mask_changes_nothing(models):
    mask, other = padded("right"), ids()
    other[0, 7:] = 5
    _, ours = models("tiny-bert")
    with torch.no_grad():
        one, two = (ours(input_ids=x, attention_mask=mask).logits for x in (ids(), other))
    torch.testing.assert_close(one[mask.bool()], two[mask.bool()], rtol=0, atol=0)


def test_a_decoder_does_not_see_what_follows(models):
    _, ours = models("tiny-gpt2")
    later = ids()
    later[:, 6:] = 7
    with torch.no_grad():
        torch.testing.assert_close(ours(ids()).logits[:, :6], ours(later).logits[:, :6], rtol=0, atol=0)


def test_an_encoder_sees_what_follows(models):
    _, ours = models("tiny-bert")
    later = ids()
    later[:, 6:] = 7
    with torch.no_grad():
        assert (ours(ids()).logits[:, :6] - ours(later).logits[:, :6]).abs().max() > 1e-3


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])
def test_caches_give_the_same_tokens(models, name, cache):
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "cache_implementation": cache}
    eager, ours = models(name)
    expected, found = (one.generate(ids(), attention_mask=padded("left"), **told) for one in (eager, ours))
    assert found.tolist() == expected.tolist()


def test_a_step_of_several_tokens_after_a_past(models):
    expected, found = [], []
    for model, into in zip(models("tiny-llama"), (expected, found), strict=True):
        with torch.no_grad():
            past = model(ids()[:, :7], use_cache=True).past_key_values
            into.append(model(ids()[:, 7:], past_key_values=past).logits)
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_cross_attention_and_position_bias(models):
    mask = padded("right")
    expected, found = both(models("tiny-t5"), input_ids=ids(), attention_mask=mask, decoder_input_ids=ids(length=5))
    torch.testing.assert_close(found, expected, **TOLERANCE)


@pytest.mark.parametrize("of_module", [True, False])
@pytest.mark.parametrize("of_call", [True, False, None])
def test_causality_of_a_call_without_a_mask(of_module, of_call):
    attend = transformers.AttentionInterface()[enable("numba-flash")]
    module = torch.nn.Identity()
    module.is_causal = of_module
    q = torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    found, _ = attend(module, q, q, q, None, scaling=0.5, is_causal=of_call)
    causal = of_module if of_call is None else of_call
    expected = torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=causal, scale=0.5)
    torch.testing.assert_close(found, expected.transpose(1, 2), **TOLERANCE)


@pytest.mark.parametrize("queries, keys, q_offset", [(6, 6, 0), (1, 9, 8), (3, 9, 6), (3, 12, 6)])
@pytest.mark.parametrize("side", ["left", "right", None])
@pytest.mark.parametrize("kind", ["causal", "bidirectional", "sliding"])
def test_masks_are_those_of_transformers(queries, keys, q_offset, side, kind):
    """Also where they are not made by evaluating a function for every pair."""
    from transformers import masking_utils

    functions = {
        "causal": masking_utils.causal_mask_function,
        "bidirectional": masking_utils.bidirectional_mask_function,
        "sliding": masking_utils.sliding_window_causal_mask_function(3),
    }
    tokens = None if side is None else torch.ones(2, keys, dtype=torch.bool)
    if tokens is not None:
        tokens[0, slice(0, 2) if side == "left" else slice(keys - 2, keys)] = False
    asked = {"batch_size": 2, "q_length": queries, "kv_length": keys, "q_offset": q_offset, "kv_offset": 0,
             "mask_function": functions[kind], "attention_mask": tokens}  # fmt: skip
    made = transformers.AttentionMaskInterface()[enable("numba-flash")](**asked)
    whole = masking_utils.sdpa_mask(**asked, allow_is_causal_skip=False, allow_is_bidirectional_skip=False)
    assert torch.equal(made, whole.expand(2, -1, -1, -1))


def test_one_query_without_a_mask_sees_everything():
    attend = transformers.AttentionInterface()[enable("numba-flash")]
    module = torch.nn.Identity()
    module.is_causal = True
    q, k = torch.randn(1, 2, 1, 8), torch.randn(1, 2, 9, 8)
    found, _ = attend(module, q, k, k, None, scaling=0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, k, scale=0.5)
    torch.testing.assert_close(found, expected.transpose(1, 2), **TOLERANCE)


@pytest.mark.parametrize(
    "given, said",
    [({"output_attentions": True}, "weights"), ({"dropout": 0.1}, "dropout"), ({"s_aux": torch.zeros(2)}, "sinks")],
)
def test_what_is_not_done_is_refused_and_not_ignored(given, said):
    attend = transformers.AttentionInterface()[enable("numba-flash")]
    q = torch.randn(1, 2, 6, 8)
    with pytest.raises(Refused, match=said):
        attend(torch.nn.Identity(), q, q, q, None, scaling=0.5, **given)


def test_the_name_is_no_name_of_flash_attention():
    assert "flash" not in enable("numba-flash")


def test_a_misspelt_name_is_no_silent_loss_of_the_mask():
    with pytest.raises(UserError, match="numba-flash"):
        enable("numba-flahs")
