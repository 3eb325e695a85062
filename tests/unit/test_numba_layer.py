"""The layer in Numba beyond the conformance suite: its matrix products, caches and padding in memory, other processors."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from attention_harness.implementations.attention.numba_flash.runtime.processor import has_bfloat16_products
from attention_harness.implementations.multi_head.numba_layer import gradients, layer, products, weights
from attention_harness.implementations.multi_head.numba_layer.products import Operands, Product, Products, Term
from llvmlite import binding

from harness.multi_head import MULTI_HEAD, Problem
from harness.operators import checks
from tests.unit.test_fused import PROCESSORS

DTYPES = {"float64": np.float64, "float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Unit roundoffs."""

LEAST = {"float64": 0.0, "float32": 0.0, "bfloat16": 2.0**-126, "float16": 2.0**-25}
"""What a small number may be off by: half of the spacing of subnormal numbers, or all of one that is flushed to zero."""

SIZES = [
    # rows, depth, heads, columns
    (1, 1, 1, 1),
    (1, 768, 2, 64),
    (2, 5, 3, 7),
    (8, 16, 1, 48),
    (37, 45, 3, 20),
    (131, 600, 1, 100),
    (300, 33, 2, 80),
    (17, 3000, 1, 17),
    (0, 8, 1, 8),
]


def draw(rng, *shape):
    return rng.uniform(-1, 1, shape)


ARITHMETICS = [*((dtype, False) for dtype in DTYPES), ("bfloat16", True)]
"""Dtypes, and whether numbers are multiplied in pairs."""


def set_pairs(monkeypatch, pairs):
    """Multiply bfloat16 numbers in pairs, or convert them, whatever this processor does faster."""
    if pairs and not has_bfloat16_products():
        pytest.skip("this processor does not multiply pairs of bfloat16 numbers")
    monkeypatch.setattr(weights, "has_fast_bfloat16_products", lambda: pairs)


def bound(dtype, a, b, bias=0.0):
    """Of |C - (A B + bias)|: γ_n (|A| |B| + |bias|) for sums of n = depth + 3 terms, and the rounding of C.

    Three more than the depth: for the bias, the sum of two halves, and the second rounding of a pair.
    """
    unit = UNIT["float64" if dtype == "float64" else "float32"]
    n = (a.shape[1] + 3) * unit
    size = np.abs(a) @ np.abs(b) + np.abs(bias)
    total = size * n / (1 - n)
    return total + UNIT[dtype] * (np.abs(a @ b + bias) + total) + LEAST[dtype]


def heads_of(matrix, heads):
    """A matrix (rows, heads · columns) as (1, heads, rows, columns)."""
    rows, columns = matrix.shape
    return matrix.reshape(rows, heads, columns // heads).transpose(1, 0, 2)[None]


@pytest.mark.parametrize("dtype, pairs", ARITHMETICS)
@pytest.mark.parametrize("form", ["weights", "arrays", "transposed"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_product(monkeypatch, size, form, dtype, pairs):
    """C = A B + bias, with B packed beforehand or by the tasks, and A or its transpose in memory."""
    set_pairs(monkeypatch, pairs)
    (rows, depth, heads, columns), kind, rng = size, DTYPES[dtype], np.random.default_rng(5)
    a, b, bias = (draw(rng, *shape).astype(kind) for shape in ((rows, depth), (depth, heads * columns), (heads, columns)))
    c = np.full((1, heads, rows, columns), np.nan, kind)
    product = Product(rows, heads, columns, (Term(depth, form == "transposed", form == "weights"),))
    left = np.ascontiguousarray(a.T) if form == "transposed" else a
    right = weights.pack_weight(b.reshape(depth, heads, columns)) if form == "weights" else heads_of(b, heads)
    Products([product], np.dtype(kind), 2)([Operands(c, ((left[None, None], right),), weights.pack_bias(bias))])
    wide = [x.astype(np.longdouble) for x in (a, b, bias.ravel())]
    error = np.abs(c - heads_of(wide[0] @ wide[1] + wide[2], heads))
    assert (error <= heads_of(bound(dtype, *wide), heads)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sum_of_products(dtype):
    """Terms of different depths, each read head by head from another array, beside a product of its own in the same pass."""
    kind, rng, heads, rows, columns = DTYPES[dtype], np.random.default_rng(6), (3, 1, 2), 70, 40
    x = [draw(rng, 2, h, rows // 2, d).astype(kind) for h, d in zip(heads, (7, 33, 600), strict=True)]
    as_matrices = [a.transpose(0, 2, 1, 3).reshape(rows, -1) for a in x]
    b = [draw(rng, a.shape[1], columns).astype(kind) for a in as_matrices]
    c, other = np.empty((2, 1, rows // 2, columns), kind), np.empty((2, 1, rows // 2, columns), kind)
    terms = tuple(Term(len(w)) for w in b)
    packed = [weights.pack_weight(w[:, None]) for w in b]
    both = Products([Product(rows, 1, columns, terms), Product(rows, 1, columns, terms[:1])], np.dtype(kind), 2)
    both([Operands(c, tuple(zip(x, packed, strict=True))), Operands(other, ((x[0], packed[0]),))])
    left, right = (np.concatenate(parts, axis).astype(np.longdouble) for parts, axis in ((as_matrices, 1), (b, 0)))
    assert (np.abs(c.reshape(rows, -1) - left @ right) <= bound(dtype, left, right)).all()
    left, right = as_matrices[0].astype(np.longdouble), b[0].astype(np.longdouble)
    assert (np.abs(other.reshape(rows, -1) - left @ right) <= bound(dtype, left, right)).all()


@pytest.mark.parametrize("rows", [1, 5, 90])
def test_chosen_rows(rows):
    """Only these rows of C are written."""
    rng = np.random.default_rng(7)
    a, b = draw(rng, 1, 1, 100, 30), draw(rng, 30, 1, 50)
    chosen = np.sort(rng.choice(100, rows, replace=False))
    c = np.full((1, 1, 100, 50), np.nan)
    product = Products([Product(100, 1, 50, (Term(30),))], np.dtype(np.float64), 2)
    product([Operands(c, ((a, weights.pack_weight(b)),), chosen=chosen)])
    assert (np.flatnonzero(~np.isnan(c[0, 0]).all(axis=1)) == chosen).all()
    left, right = a[0, 0, chosen].astype(np.longdouble), b[:, 0]
    assert (np.abs(c[0, 0, chosen] - left @ right) <= bound("float64", left, right)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bound_is_near(dtype):
    """Sums in half of the digits exceed it."""
    rng = np.random.default_rng(8)
    a, b = (draw(rng, *shape).astype(DTYPES[dtype]).astype(np.float64) for shape in ((20, 40), (40, 30)))
    lower = {
        "float64": np.float32,
        "float32": np.float16,
        "bfloat16": ml_dtypes.float8_e4m3fn,
        "float16": ml_dtypes.bfloat16,
    }
    c = (a @ b).astype(lower[dtype]).astype(np.float64)
    assert (np.abs(c - a @ b) > bound(dtype, a, b)).any()


def test_blocks_of_the_depth_and_of_rows(monkeypatch):
    """With a small cache a product takes several blocks of A, which the tasks pack one after the other."""
    monkeypatch.setattr(products, "second_level_cache", lambda: 64 * 1024)
    rng = np.random.default_rng(9)
    a, b = draw(rng, 1, 1, 100, 2000), draw(rng, 2000, 2, 70)
    c = np.empty((1, 2, 100, 70))
    product = Products([Product(100, 2, 70, (Term(2000),))], np.dtype(np.float64), 2)
    product([Operands(c, ((a, weights.pack_weight(b)),))])
    left, right = a[0, 0].astype(np.longdouble), b.reshape(2000, -1)
    assert (np.abs(c - heads_of(left @ right, 2)) <= heads_of(bound("float64", left, right), 2)).all()


def assert_right(problem, outputs, inputs):
    names = list(problem.output_shapes)
    found = checks.accuracy(dict(zip(names, outputs, strict=True)), MULTI_HEAD.expected(problem, inputs))
    assert found.correct, checks.finding(found)


def loaded(problem, seed=5, threads=2):
    """(inputs, weights, what a call is given, the layer)."""
    inputs = MULTI_HEAD.inputs(problem, seed)
    own = {name: inputs[name] for name in problem.weight_shapes}
    call = {name: x for name, x in inputs.items() if name not in own and name != "dout"}
    return inputs, own, call, layer.Layer(problem, own, threads)


STEPS = {
    "plain": {},
    "several-positions": {"q_len": 3, "causal": "bottom-right"},
    "group": {"q_heads": 4, "kv_heads": 1, "v_head_dim": 16, "biases": True},
    "window": {"q_len": 2, "window": (200, 0), "causal": "bottom-right"},
    "mask": {"mask": "random-b1qk"},
    "softcap": {"softcap": 2.0},
    "long": {"cache": 1500},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STEPS)
def test_steps_against_a_cache(name, dtype):
    """Rows of whole vectors: the cache is read where it lies, and the new positions beside it."""
    sizes = {"batch": 2, "q_heads": 2, "q_len": 1, "cache": 300, "width": 40, "head_dim": 32}
    problem = Problem(**{**sizes, "dtype": dtype, **STEPS[name]})
    inputs, _, call, one = loaded(problem)
    assert one.fused.plan_decode is not None
    assert_right(problem, [one.forward(**call)], inputs)


PADDED = {
    "padding": {"batch": 3, "q_len": 40, "width": 24, "mask": "padding"},
    "one-mask-for-all": {"batch": 2, "q_len": 14, "width": 8, "mask": "random-k"},
    "causal": {"batch": 2, "q_len": 14, "width": 8, "mask": "random-k", "causal": "bottom-right"},
    "window": {"batch": 2, "q_len": 30, "width": 8, "mask": "padding", "window": (3, 2)},
}


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PADDED)
def test_padding_has_no_keys_and_values(monkeypatch, name, dtype, direction):
    """They are zero, not biases, and nothing of what the memory held before."""
    monkeypatch.setattr(layer, "new_arrays", lambda shapes, kind: [np.full(shape, np.nan, kind) for shape in shapes])
    problem = Problem(**PADDED[name], q_heads=2, biases=True, dtype=dtype, direction=direction)
    inputs, own, call, one = loaded(problem)
    mask = inputs["mask"]
    if name != "padding":
        mask[..., :2] = mask[..., -3:] = False
    _, _, k, v, _ = one.project_and_attend((call["x"], None), mask=mask)
    padding = np.broadcast_to(~mask.reshape(-1, problem.kv_len), (problem.batch, problem.kv_len))[:, -3:]
    assert padding.any()
    for projected in (k, v):
        assert ((projected.astype(np.float64) == 0).all(axis=(1, 3))[:, -3:] == padding).all()
    if direction == "forward":
        assert_right(problem, [one.forward(**call)], inputs)
    else:
        both = gradients.Gradients(one, own)
        _, saved = both.forward(**call)
        assert_right(problem, both.backward(saved, inputs["dout"]), inputs)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_change_a_bit(threads):
    rng = np.random.default_rng(10)
    a, b, results = draw(rng, 1, 1, 500, 70), weights.pack_weight(draw(rng, 70, 3, 50)), []
    for some in (1, threads):
        results.append(np.empty((1, 3, 500, 50)))
        Products([Product(500, 3, 50, (Term(70),))], a.dtype, some)([Operands(results[-1], ((a, b),))])
    assert (results[0] == results[1]).all()


def test_another_shape_or_dtype_is_refused():
    problem = Problem(q_heads=2, q_len=5, width=8)
    _, _, call, one = loaded(problem)
    for wrong in (call["x"][:, :4], call["x"].astype(np.float64)):
        with pytest.raises(ValueError, match="x must be float32 of shape"):
            one.forward(wrong)


def test_strided_inputs():
    problem = Problem(batch=2, q_heads=2, q_len=9, width=8)
    inputs, _, call, one = loaded(problem)
    x = np.empty((9, 2, 16), np.float32)[:, :, ::2].transpose(1, 0, 2)
    x[:] = call["x"]
    assert_right(problem, [one.forward(x)], inputs)


ON_A_PROCESSOR = """
from tests.unit import test_numba_layer as tests
from harness.multi_head import Problem
from attention_harness.implementations.multi_head.numba_layer import gradients

sizes = dict(batch=2, q_heads=4, kv_heads=2, q_len=13, width=21, head_dim=20, v_head_dim=9, out_width=11, biases=True)
for dtype in tests.DTYPES:
    problem = Problem(**sizes, dtype=dtype, direction="backward")
    inputs, own, call, one = tests.loaded(problem)
    both = gradients.Gradients(one, own)
    out, saved = both.forward(**call)
    tests.assert_right(problem, both.backward(saved, inputs["dout"]), inputs)
    step = problem.replace(direction="forward", q_len=1, cache=40, head_dim=32, v_head_dim=16)
    inputs, own, call, one = tests.loaded(step)
    tests.assert_right(step, [one.forward(**call)], inputs)
print("right")
"""


@pytest.mark.parametrize("name", ["avx2", "plain"])
def test_other_processors(name):
    """With fewer instructions than the host."""
    processor, features, _ = PROCESSORS[name]
    host = {feature for feature, present in binding.get_host_cpu_features().items() if present}
    if missing := {feature[1:] for feature in features.split(",")} - host:
        pytest.skip(f"this processor lacks {', '.join(sorted(missing))}")
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-c", ON_A_PROCESSOR], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "right", done.stderr[-2000:]
