"""The suite rejects every fault, accepts what the faults were made from, and docs/faults.md says so."""

import pytest

from docs.generate.faults import documented
from harness.errors import Status
from tests.faults.attention import Attention
from tests.faults.catalogue import FAULTS
from tests.faults.judging import rejection, verdicts
from tests.faults.layer import MultiHeadAttention
from tests.faults.multi_head import Layer
from tests.faults.table import HEADER, row
from tests.faults.tiled import TiledAttention


@pytest.mark.parametrize("attention", [Attention, TiledAttention, MultiHeadAttention, Layer])
def test_what_the_faults_were_made_from_is_correct(attention):
    judged = [v for v in verdicts(attention) if attention.supports.gradients or v.case.problem.direction == "forward"]
    wrong = [f"{v.case.id}: {v.status}, {v.reason}" for v in judged if v.status is not Status.OK]
    assert judged and not wrong, wrong


@pytest.mark.parametrize("fault_id", FAULTS)
def test_is_rejected_as_the_table_says(fault_id):
    assert rejection(fault_id).verdicts, f"no case sees what is wrong: {FAULTS[fault_id].sentence}"
    assert row(fault_id) in documented(), "write the table anew: python -m docs.generate.faults"


def test_table_lists_every_fault_once_and_in_order():
    lines = documented()
    assert "\n".join(lines[:2]) == HEADER
    assert [line.split("`")[1] for line in lines[2:]] == list(FAULTS)
