"""ONNX's own cases of its `Attention` operator against the oracle, and against every implementation."""

import dataclasses
import functools

import numpy as np
import pytest

from harness.conformance.cases import SIMULATED_ELEMENTS
from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.attention.reference import expected
from harness.registry import Supports
from harness.workers.messages import Failed
from tests.external.subjects import chosen, parameters

# From 1.23 on a row with nothing to attend to is zero; its answer was not a number before.
pytest.importorskip("onnx", minversion="1.23", reason="the cases lie in the onnx package, 1.23 or later; pip install onnx")
from tests.external.onnx_cases import NotExpressed, cases, translated
from tests.external.onnx_corpus import Node, digest

CASES = cases()
CORPUS = 93, "752ee3bbda3e8861"

FEW = (
    "test_attention_4d",
    "test_attention_3d_diff_heads_sizes_scaled",
    "test_attention_4d_causal_fp16",
    "test_attention_4d_causal_with_past_and_present",
    "test_attention_4d_causal_padded_kv_bf16",
    "test_attention_4d_softcap_neginf_mask_poison",
    "test_attention_causal_boolmask_nan_robustness",
    "test_attention_bidirectional_window",
    "test_attention_local_window_gqa_rank4_mask",
)
"""What implementations run that compile for seconds at every shape, or are simulated: each feature of the corpus once or
more, from 8 to 192 score elements. `--full` gives them all the cases."""

SIMULATED_ELEMENTS_BESIDES = 72
"""Score elements up to which the simulator runs the other cases too: it takes up to 12 ms for each."""

NO_FEATURE = Supports(dtypes=())
"""Refuses everything, and so names every feature that a problem needs."""


@functools.cache
def answer(name: str) -> Expected:
    """The oracle's answer to a case."""
    return expected(CASES[name].problem, CASES[name].inputs)


def cases_of(subject, full):
    """The cases that an implementation supports, or what can be afforded of them."""
    supports = subject.implementation.supports_on(subject.contender.device)
    for case in CASES.values():
        few, elements = full or case.name in FEW, case.problem.score_elements
        if subject.simulated:
            affordable = elements <= (SIMULATED_ELEMENTS if few else SIMULATED_ELEMENTS_BESIDES)
        else:
            affordable = few or not subject.implementation.slow_build
        if affordable and not supports.unsupported_reasons(case.problem):
            yield case


def pytest_generate_tests(metafunc):
    if "onnx_case" in metafunc.fixturenames:
        full = metafunc.config.getoption("full")
        wanted = parameters(chosen(metafunc.config), lambda one: cases_of(one, full), lambda case: case.name)
        metafunc.parametrize("examined, onnx_case", wanted)


def test_implementation(examined, onnx_case, examiner):
    outputs = examiner.solve(onnx_case.problem, onnx_case.inputs.arrays)
    wrong = difference(onnx_case, outputs)
    assert not wrong, f"{examined.name}, {onnx_case.name}: {wrong}"


def difference(case, outputs):
    """What is wrong with an implementation's outputs, or ""."""
    if isinstance(outputs, Failed):
        return f"{outputs.status}: {outputs.reason}"
    wrong = checks.wrong_form(case.problem, outputs)
    if wrong:
        return wrong
    # ONNX's answer was computed in the case's dtype, so each of the two may be off by the bound. The tolerance that comes
    # with the cases, rtol 1e-3, is not used: it is less than one rounding of the half types.
    right = answer(case.name)["o"]
    theirs = dataclasses.replace(right, value=case.y.astype(np.float64), bound=2 * right.bound)
    found = checks.accuracy(outputs, {"o": theirs})
    if found.correct:
        return ""
    return f"against ONNX's Y, with twice the bound, on {case.problem.name}: {checks.finding(found)}"


@pytest.mark.parametrize("name", CASES)
def test_oracle(name):
    """ONNX's answer lies within the bound that an implementation would have to keep."""
    case = CASES[name]
    assert not checks.wrong_form(case.problem, {"o": case.y})
    found = checks.accuracy({"o": case.y}, answer(name))
    assert found.correct, f"{case.problem.name}: ONNX's {checks.finding(found)}"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.problem.causal and case.problem.q_len > 1])
def test_oracle_with_the_other_alignment_disagrees(name):
    """So the cases tell one alignment from the other, and the adapter reads ONNX's offsets as ONNX does."""
    case = CASES[name]
    other = {"top-left": "bottom-right", "bottom-right": "top-left"}[case.problem.causal]
    moved = expected(case.problem.replace(causal=other), case.inputs)
    square = case.problem.q_len == case.problem.kv_len
    assert checks.accuracy({"o": case.y}, moved).correct == square


def test_corpus_is_the_one_that_was_looked_at():
    looked_at = "the onnx package has other cases now: see what changed, whether the adapter reads it, and pin it here"
    assert (len(CASES), digest()) == CORPUS, looked_at


@pytest.mark.parametrize("name", CASES)
def test_problem_describes_the_arrays(name):
    case = CASES[name]
    problem, inputs = case.problem, case.inputs
    assert (inputs.q.shape, inputs.k.shape, inputs.v.shape) == (problem.q_shape, problem.k_shape, problem.v_shape)
    assert inputs.mask is None or inputs.mask.shape == problem.mask_shape
    assert inputs.bias is None or inputs.bias.shape == problem.bias_shape


def test_the_few_have_every_feature():
    def features(names):
        return {feature for name in names for feature in NO_FEATURE.unsupported_reasons(CASES[name].problem)}

    assert features(FEW) == features(CASES)


# --- what the adapter does with nodes that are not in the corpus -------------------------------------


def node(attributes=(), **inputs):
    x = np.ones((1, 1, 3, 4), np.float16)
    return Node("made-up", {"Q": x, "K": x, "V": x, **inputs}, dict(attributes), x)


@pytest.mark.parametrize("dtype, row", [(bool, [True, False, False]), (np.float16, [1, -np.inf, -np.inf])])
def test_mask_of_one_key_is_short_and_does_not_broadcast(dtype, row):
    """As in ONNX's reference implementation, which pads every mask that is shorter than the keys."""
    inputs = translated(node(attn_mask=np.ones((3, 1), dtype))).inputs
    (mask,) = inputs.extras.values()
    assert mask.dtype == dtype
    assert mask.tolist() == [row] * 3


def test_window_without_causality_stands_where_the_cache_ends():
    past = np.ones((1, 1, 2, 4), np.float16)
    window = {"left_window_size": 1, "right_window_size": 0}
    case = translated(node(window, past_key=past, past_value=past))
    assert case.problem.window is case.problem.causal is None
    assert case.inputs.mask[0, 0].astype(int).tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]


@pytest.mark.parametrize(
    "attributes, inputs, said",
    [
        ({"sink": 1}, {}, "nothing is known of sink"),
        ({"softmax_precision": 16}, {}, "a softmax in bfloat16 is too coarse for float16"),
        ({}, {"attn_mask": np.ones((3, 3), np.float32)}, "not of its dtype are {'attn_mask': dtype.'float32'.}"),
        ({}, {"V": np.ones((1, 1, 3, 4), np.float32)}, "not of its dtype are {'V'"),
    ],
)
def test_adapter_refuses_what_it_would_get_wrong(attributes, inputs, said):
    with pytest.raises(NotExpressed, match=said):
        translated(node(attributes, **inputs))
