"""Problems with the oracle's answers: two layers within its bounds differ by no more than twice the bound."""

import numpy as np

from harness.multi_head import MULTI_HEAD, Problem

_COMMON = {"batch": 2, "q_heads": 4, "q_len": 6, "width": 12}

PROBLEMS = {
    "plain": Problem(**_COMMON),
    "biases": Problem(**_COMMON, biases=True),
    "cross": Problem(**_COMMON, biases=True, cross=True, kv_len=9, y_width=7),
    "grouped": Problem(**_COMMON, biases=True, kv_heads=2),
    "sizes": Problem(**_COMMON, biases=True, head_dim=5, v_head_dim=8, out_width=10),
    "causal": Problem(**_COMMON, causal="top-left"),
    "bottom-right": Problem(**_COMMON, cross=True, kv_len=9, causal="bottom-right"),
    "no-key": Problem(**_COMMON, biases=True, cross=True, kv_len=4, causal="bottom-right"),
    "mask": Problem(**_COMMON, biases=True, mask="random-bhqk", causal="top-left"),
    "empty-rows": Problem(**_COMMON, biases=True, mask="empty-rows-b1qk"),
    "scale-softcap": Problem(**_COMMON, scale=0.3, softcap=2.0),
}


def arrays(name):
    """(weights, x, y or None, mask or None) of a problem."""
    inputs = MULTI_HEAD.inputs(PROBLEMS[name])
    weights = {key: inputs[key] for key in PROBLEMS[name].weight_shapes}
    return weights, inputs["x"], inputs.get("y"), inputs.get("mask")


def check(name, out):
    """`out` lies within the oracle's bound."""
    problem = PROBLEMS[name]
    expected = MULTI_HEAD.expected(problem, MULTI_HEAD.inputs(problem))["out"]
    out = np.asarray(out)
    assert out.shape == problem.out_shape
    excess = np.abs(out - expected.value) - expected.bound
    assert excess.max() <= 0, (
        f"{name}: beyond its bound by {excess.max()} at {np.unravel_index(excess.argmax(), excess.shape)}"
    )
