"""The multi-head layer, for authors of implementations: the operator, its problems, and what can be declared.

    @implementation("mine", operator=MULTI_HEAD, supports=Supports(biases=True))
    def mine(problem):
        def load(wq, wk, wv, wo, bq=0, bk=0, bv=0, bo=0):
            def layer(x):
                ...
            return layer
        return load

`load` receives the weights, and the biases that the problem has, as native arrays of the framework; what it does with them
is no part of the time of a call. `layer` receives x, and the keywords `y=`, `k_cache=`, `v_cache=` and `mask=` that the
problem has. `problem.attention` is the problem of the attention inside, with which any implementation of attention can be
built.
"""

from harness.operators.multi_head.operator import MULTI_HEAD
from harness.operators.multi_head.problem import Problem
from harness.operators.multi_head.supports import EVERYTHING, Supports

__all__ = ["EVERYTHING", "MULTI_HEAD", "Problem", "Supports"]
