"""The problem that every implementation of attention is given."""

from harness.operators.attention.problem import CAUSAL, Problem
from harness.operators.dtypes import DTYPES

__all__ = ["CAUSAL", "DTYPES", "Problem"]
