"""What is asked and what the answer is: a folder for each operator, and what an author of another one writes."""

from harness.operators.answer import Expected, Tensor
from harness.operators.base import Arrays, Operator
from harness.operators.case import Case
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.problem import Problem
from harness.operators.supports import Supports

__all__ = ["Arrays", "Case", "Expected", "Mistake", "Operator", "Problem", "Supports", "Tensor"]
