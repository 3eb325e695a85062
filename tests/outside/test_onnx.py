"""ONNX's own cases against the oracle and against every implementation."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from harness.conformance import checks
from harness.conformance.cases import SIMULATED_ELEMENTS
from harness.conformance.suite.examine import Subject
from harness.measure.messages import Failed
from harness.reference import Tensor, expected
from harness.registry import discover

onnx = pytest.importorskip("onnx", reason="the onnx package holds the cases; pip install onnx")
from tests.outside.onnx_cases import cases, digest  # noqa: E402

DEPARTURES = Path(__file__).parent / "departures"
CORPUS = "299f83b8a2b7525f"
CASES = {case.name: case for case in cases()}

# Of the implementations for which every shape is compiled for seconds: a case for each feature.
FEW = (
    "test_attention_4d",
    "test_attention_4d_causal",
    "test_attention_4d_gqa_with_past_and_present",
    "test_attention_3d_gqa_scaled",
    "test_attention_4d_attn_mask_bool_4d",
    "test_attention_4d_softcap",
    "test_attention_4d_diff_heads_sizes_attn_mask",
    "test_attention_causal_boolmask_nan_robustness",
)


def test_the_corpus_is_the_one_that_was_looked_at():
    assert len(CASES) == 93
    assert digest() == CORPUS, "the onnx package has other cases now: look at what changed, then pin the new hash here"


@pytest.mark.parametrize("name", CASES)
def test_the_oracle_agrees(name):
    """ONNX's answer was computed in the case's dtype, so it may be off by the bound; the literal tolerance of the corpus,
    rtol 1e-3, is below one rounding of the half types."""
    case = CASES[name]
    answer = expected(case.problem, case.inputs)
    found = checks.accuracy({"o": case.y}, answer)
    assert found.correct, found


def departures():
    """{implementation: {case: reason}}."""
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted(DEPARTURES.glob("*.toml"))}


def pytest_generate_tests(metafunc):
    if "implementation" not in metafunc.fixturenames:
        return
    registry = discover()
    parameters = []
    for name in registry.select(metafunc.config.getoption("impl")):
        subject = Subject(registry.implementations[name], f"--impl {name}")
        group = pytest.mark.xdist_group(name)
        for case in CASES.values():
            supported = not subject.implementation.supports_on(subject.contender.device).refusals(case.problem)
            chosen = case.name in FEW or metafunc.config.getoption("full") or not subject.implementation.slow_build
            small = not subject.simulated or case.problem.score_elements <= SIMULATED_ELEMENTS
            if supported and chosen and small:
                parameters.append(pytest.param(name, case.name, id=f"{name}-{case.name}", marks=group))
    metafunc.parametrize("implementation, name", parameters)


def test_implementation(implementation, name, subject_of):
    """Ours and ONNX's may each be off by the bound, so they may differ by twice that."""
    case = CASES[name]
    subject, checker = subject_of(implementation)
    with subject.surroundings():
        outputs = checker.solve(case.problem, case.inputs)
    assert not isinstance(outputs, Failed), f"{outputs.status}: {outputs.reason}"
    wrong = checks.wrong_form(case.problem, outputs)
    bound = expected(case.problem, case.inputs)["o"]
    onnx_s = Tensor(case.y.astype(np.float64), 2 * bound.bound, bound.rows, bound.length)
    found = checks.accuracy(outputs, {"o": onnx_s})
    reason = departures().get(implementation, {}).get(name)
    if reason:
        assert wrong or not found.correct, f"{implementation} passes {name} now ({reason}): take the entry out"
        pytest.xfail(reason)
    assert not wrong, wrong
    assert found.correct, f"{case.problem.name}: {checks.finding(found)}"


def test_departures_name_what_exists():
    known = discover().implementations
    for implementation, entries in departures().items():
        assert implementation in known, f"departures/{implementation}.toml is of no implementation"
        for name, reason in entries.items():
            assert name in CASES, f"departures/{implementation}.toml names {name}, which is no case"
            assert len(reason) > 20, f"{implementation}, {name}: the reason is missing"


def test_the_few_cases_exist():
    assert set(FEW) <= set(CASES)
