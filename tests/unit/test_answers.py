"""The oracle's answers that processes share: each its case's own, whole, and what verdicts are made by."""

from dataclasses import replace

import numpy as np
import pytest

from harness.conformance import answers
from harness.conformance.answers import Answers
from harness.conformance.examiner import Examiner
from harness.errors import Status
from harness.multi_head import MULTI_HEAD
from harness.multi_head import Problem as Layer
from harness.operators.answer import load, save
from harness.operators.attention.operator import ATTENTION
from harness.operators.case import Case
from harness.plugins.contender import contenders
from harness.plugins.registry import discover
from harness.problem import Problem

CASES = {
    "forward": (ATTENTION, Case("chapter", "name", Problem(q_len=3, kv_len=5, head_dim=4))),
    "gradients": (ATTENTION, Case("chapter", "name", Problem(q_len=3, head_dim=4, direction="backward"))),
    "some-rows": (ATTENTION, Case("chapter", "name", Problem(q_len=5000, kv_len=1100, head_dim=2))),
    "layer": (MULTI_HEAD, Case("chapter", "name", Layer(batch=1, q_heads=2, q_len=3, width=4, biases=True))),
}


def computed(operator, case):
    return operator.expected(case.problem, operator.vary(case.problem, case.inputs, case.seed), case.seed)


def same(a, b):
    return all(np.array_equal(a[n].value, b[n].value) and np.array_equal(a[n].bound, b[n].bound) for n in a)


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_the_oracles(name, tmp_path):
    operator, case = CASES[name]
    right, found = computed(operator, case), load(Answers(operator, tmp_path).path(case))
    assert found.keys() == right.keys() and same(found, right)
    for output, tensor in right.items():
        assert found[output].length == tensor.length
        np.testing.assert_array_equal(found[output].rows, tensor.rows)
        np.testing.assert_array_equal(found[output].excused, tensor.excused)


def test_it_is_computed_once(tmp_path, monkeypatch):
    operator, case = CASES["forward"]
    first = Answers(operator, tmp_path).path(case)
    monkeypatch.delattr(type(operator), "expected")
    assert Answers(operator, tmp_path).path(case) == first
    assert [*tmp_path.iterdir()] == [first]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 12},
        {"inputs": "large-logits"},
        {"problem": Problem(q_len=3, kv_len=5, head_dim=4, scale=0.3)},
        {"problem": Problem(q_len=3, kv_len=5, head_dim=4, causal="bottom-right")},
    ],
    ids=["seed", "inputs", "scale", "causal"],
)
def test_what_differs_has_an_answer_of_its_own(change, tmp_path):
    operator, case = CASES["forward"]
    other = replace(case, **change)
    kept = Answers(operator, tmp_path)
    assert kept.path(case) != kept.path(other)
    assert same(load(kept.path(other)), computed(operator, other))


def test_there_are_none_without_a_folder(monkeypatch):
    monkeypatch.delenv(answers.VARIABLE)
    assert Answers.shared(ATTENTION) is None


def test_the_oracle_of_a_plug_in_stays_in_the_worker(tmp_path, monkeypatch):
    monkeypatch.setenv(answers.VARIABLE, str(tmp_path))
    assert Answers.shared(ATTENTION) and Answers.shared(MULTI_HEAD)

    class Convolution(type(ATTENTION)):
        name = "convolution"

    assert Answers.shared(Convolution()) is None


@pytest.mark.parametrize("wrong", [False, True])
def test_a_worker_judges_by_the_answer_that_it_is_given(wrong, tmp_path, monkeypatch):
    monkeypatch.setenv(answers.VARIABLE, str(tmp_path))
    operator, case = CASES["forward"]
    path = Answers(operator, tmp_path).path(case)
    if wrong:
        save({name: replace(tensor, value=tensor.value + 1) for name, tensor in load(path).items()}, path)
    (contender,) = contenders(discover().of("attention"), ["numpy"], "cpu")
    with Examiner(contender, 1, 60, Answers.shared(operator)) as examiner:
        assert examiner.examine(case).status is (Status.INCORRECT if wrong else Status.OK)


def test_without_them_a_worker_asks_the_oracle():
    (contender,) = contenders(discover().of("attention"), ["numpy"], "cpu")
    with Examiner(contender, 1, 60) as examiner:
        assert examiner.examine(CASES["forward"][1]).status is Status.OK
