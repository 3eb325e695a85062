"""The fused CPU kernels beyond the conformance suite: shares of the work, other processors, the cache of compiled code."""

import os
import subprocess
import sys
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from attention_harness.implementations.attention.numba_flash.attention import Fused
from attention_harness.implementations.attention.numba_flash.layout import plan
from attention_harness.implementations.attention.numba_flash.runtime.llvm import INTP
from attention_harness.implementations.attention.numba_flash.runtime.processor import amx, has_bfloat16_products
from attention_harness.implementations.attention.numba_flash.simd.amx import Registers, amx_gemm_body
from attention_harness.implementations.attention.numba_flash.simd.microkernel import ROWS
from llvmlite import binding, ir

from harness.operators import checks
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import expected
from harness.problem import Problem
from tests.unit.plain import admitted

# Vectors of 16, 8 and 4 float32: AVX-512 without its instructions for bfloat16, AVX2, and what every x86-64 processor has.
PROCESSORS = {
    "avx512": (
        "skylake-avx512",
        "+sse2,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl",
        16,
    ),
    "avx2": ("haswell", "+sse2,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2", 8),
    "plain": ("x86-64", "+sse2", 4),
    "unnamed": ("generic", "", 4),
}

WITH_PARTS = {
    "tiles": {"q_len": 40, "kv_len": 1100, "head_dim": 24},
    "rows": {"q_len": 1, "kv_len": 1100, "head_dim": 32},
    "rows-masked": {"q_len": 2, "kv_len": 900, "q_heads": 4, "kv_heads": 2, "head_dim": 16, "mask": "random-b1qk"},
    "nothing": {"q_len": 3, "kv_len": 600, "head_dim": 16, "causal": "bottom-right", "mask": "empty-rows-b1qk"},
}


def forward(problem, threads, seed=5):
    """(inputs, output, softmax state, kernels)."""
    inputs, kernels = make_inputs(problem, seed), Fused(problem, threads)
    state = kernels.new_softmax_state()
    return inputs, kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, softmax_state=state), state, kernels


@pytest.mark.parametrize("name", WITH_PARTS)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_keys_in_parts(name, threads):
    problem = Problem(**{"batch": 1, "q_heads": 2, **WITH_PARTS[name]})
    inputs, o, _, kernels = forward(problem, threads)
    assert kernels.plan_forward.sizes["splits"] > 1 or threads == 1
    for output in o, kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras):
        found = checks.accuracy({"o": output}, expected(problem, inputs))
        assert found.correct, checks.finding(found)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("head_dim", [16, 32, 48, 64, 128, 256])
def test_rows_of_every_width(head_dim, dtype):
    """A query's dot products: rows of one vector to sixteen, with and without the query held in registers."""
    problem = Problem(batch=1, q_heads=2, kv_heads=1, q_len=1, kv_len=83, head_dim=head_dim, dtype=dtype)
    inputs, kernels = make_inputs(problem, 5), Fused(problem, 2)
    assert kernels.plan_decode is not None
    o = kernels.forward(inputs.q, inputs.k, inputs.v)
    found = checks.accuracy({"o": o}, expected(problem, inputs))
    assert found.correct, checks.finding(found)


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_gradients_of_few_heads(threads):
    """Queries are dealt out to several tasks, which add up apart what they share; the same on every run."""
    problem = Problem(
        batch=1, q_heads=2, kv_heads=1, q_len=210, kv_len=75, head_dim=20, causal="top-left", direction="backward"
    )
    inputs, o, state, kernels = forward(problem, threads)
    arguments = inputs.q, inputs.k, inputs.v, o, state, inputs.do
    outputs = dict(zip(("dq", "dk", "dv"), kernels.backward(*arguments), strict=True))
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    for name, again in zip(outputs, kernels.backward(*arguments), strict=True):
        np.testing.assert_array_equal(outputs[name], again)


@pytest.mark.parametrize("head_dim, v_head_dim", [(7, 5), (24, 33), (64, 64)])
@pytest.mark.parametrize("scale", [None, -0.3, 0.0])
def test_bfloat16_pairs(head_dim, v_head_dim, scale):
    """Odd sizes, and rows and columns that lie elsewhere than next to each other."""
    problem = Problem(
        batch=1, q_heads=2, kv_heads=1, q_len=37, kv_len=29, head_dim=head_dim, v_head_dim=v_head_dim, scale=scale,
        dtype="bfloat16", direction="backward",
    )  # fmt: skip
    inputs, o, state, kernels = forward(problem, 2)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do)
    found = checks.accuracy({"o": o, **dict(zip(("dq", "dk", "dv"), gradients, strict=True))}, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    spread = [np.repeat(np.repeat(x, 2, axis=2), 3, axis=3)[:, :, ::2, ::3] for x in (inputs.q, inputs.k, inputs.v)]
    np.testing.assert_array_equal(kernels.forward(*spread), o)
    transposed = [np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) for x in (inputs.q, inputs.k, inputs.v)]
    np.testing.assert_array_equal(kernels.forward(*transposed), o)


ROW, KEY = np.arange(150)[:, None], np.arange(170)
MASKS = {
    "causal": ROW >= KEY,
    "blocks": ROW // 40 == KEY // 40,
    "last-key": np.broadcast_to(KEY == 169, (150, 170)),
    "all-but-the-last-key": np.broadcast_to(KEY != 169, (150, 170)),
    "no-keys-for-some": (ROW % 7 > 0) & (KEY < 90),
}


@pytest.mark.parametrize("bias", [None, "normal-bhqk"])
@pytest.mark.parametrize("name", MASKS)
def test_masks_of_whole_tiles(name, bias):
    """Tiles of keys that a mask hides are left out, and it is not applied to those that it shows; however it lies."""
    problem = Problem(
        batch=1, q_heads=4, kv_heads=2, q_len=150, kv_len=170, head_dim=16, mask="random-11qk", bias=bias,
        direction="backward",
    )  # fmt: skip
    inputs = replace(make_inputs(problem, 3), mask=np.ascontiguousarray(MASKS[name])[None, None])
    kernels = Fused(problem, 2, tile_keys=32)
    state, extras = kernels.new_softmax_state(), inputs.extras
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **extras, softmax_state=state)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do, **extras)
    outputs = {"o": o, **dict(zip(("dq", "dk", "dv"), gradients, strict=True))}
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    spread = {field: np.repeat(x, 2, axis=-1)[..., ::2] for field, x in extras.items()}
    np.testing.assert_array_equal(kernels.forward(inputs.q, inputs.k, inputs.v, **spread), o)


@pytest.mark.parametrize("name", WITH_PARTS)
def test_softmax_state(name):
    """Of float64 scores; -inf twice for a row that has nothing to attend to."""
    problem = Problem(**{"batch": 1, "q_heads": 2, "dtype": "float64", **WITH_PARTS[name]})
    inputs, _, state, _ = forward(problem, 2)
    q, k = inputs.q, inputs.k.repeat(problem.group, axis=1)
    scores = problem.scale * q @ k.swapaxes(-1, -2)
    distance = np.arange(problem.kv_len) - np.arange(problem.q_len)[:, None]
    low, high = problem.band
    seen = (distance >= low) & (distance <= high)
    if problem.mask:
        seen = seen & inputs.mask
    scores = np.where(seen, scores, -np.inf)
    right = np.logaddexp.reduce(scores, axis=-1)
    empty = right == -np.inf
    assert empty.any() == (name == "nothing")
    assert (state[empty] == -np.inf).all()
    # A sum of n positive terms, each a rounding off, and a logarithm.
    accuracy = problem.kv_len * np.finfo(float).eps
    np.testing.assert_allclose(state[..., 0], scores.max(axis=-1), rtol=0, atol=accuracy)
    np.testing.assert_allclose(state.sum(axis=-1), right, rtol=0, atol=accuracy)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("q_len", [1, 40])
def test_lowest_number_as_bias(q_len, dtype):
    """The lowest finite number hides a key beside others, but is not -inf: where all keys have it, they weigh the same."""
    problem = Problem(batch=1, q_heads=1, q_len=q_len, kv_len=64, head_dim=16, dtype=dtype, bias="normal-bhqk")
    inputs, kernels = make_inputs(problem, 6), Fused(problem, 2)
    low, half = ml_dtypes.finfo(inputs.bias.dtype).min, problem.kv_len // 2
    bias = np.full_like(inputs.bias, low)  # Scores are lost in it.
    bias[..., :half] = -np.inf
    v = inputs.v[:, :, half:].astype(float)
    # A sum of these terms and a division, then a rounding to the output's dtype.
    roundoff = float(ml_dtypes.finfo(inputs.v.dtype).eps) + half * np.finfo(kernels.state_dtype).eps
    right = np.broadcast_to(v.mean(axis=2, keepdims=True), problem.o_shape)
    for state in None, kernels.new_softmax_state():
        o = kernels.forward(inputs.q, inputs.k, inputs.v, bias=bias, softmax_state=state)
        np.testing.assert_allclose(o.astype(float), right, rtol=0, atol=roundoff * np.abs(v).max())
    np.testing.assert_array_equal(state[..., 0], kernels.state_dtype.type(low))
    np.testing.assert_allclose(state[..., 1], np.log(half), rtol=np.finfo(kernels.state_dtype).eps)


WITH_LARGE_SCORES = {
    "few-queries": {"q_len": 2, "kv_len": 64},
    "a-tile": {"q_len": 40, "kv_len": 64},
    "many-keys": {"q_len": 40, "kv_len": 1100},
    "few-queries-many-keys": {"q_len": 1, "kv_len": 1100},
    "grouped": {"q_heads": 4, "q_len": 70, "kv_len": 90, "mask": "empty-rows-b1qk"},
    "banded": {"q_len": 200, "kv_len": 210, "causal": "bottom-right", "window": (150, 0)},
}


def large_scores(problem, size):
    """Inputs whose scores are all near the lowest finite number, -1e9 or 1e6, from a bias or from a column of q and k."""
    inputs = make_inputs(problem, 6)
    if size == "million":
        large = np.array((1e6 / problem.scale) ** 0.5, inputs.q.dtype)
        q, k = inputs.q.copy(), inputs.k.copy()
        q[..., 0] = k[..., 0] = large
        return replace(inputs, q=q, k=k)
    value = -1e9 if size == "billion" else ml_dtypes.finfo(inputs.q.dtype).min
    return replace(inputs, bias=np.full(problem.bias_shape, value, inputs.q.dtype))


def gradients_of_large_scores(problem, size, threads=2):
    """(inputs, {"dq", "dk", "dv"}), all float64."""
    inputs, kernels = large_scores(problem, size), Fused(problem, threads)
    state = kernels.new_softmax_state()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, softmax_state=state)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do, **inputs.extras)
    return inputs, {name: x.astype(float) for name, x in zip(("dq", "dk", "dv"), gradients, strict=True)}


def roundoff_of(problem, dtype):
    """Of a weight, relative: of the sum of all (Higham and Mary 2019), of its logarithm, and twice of storing."""
    kind = np.float64 if problem.dtype == "float64" else np.float32
    n = problem.kv_len
    return (4 + np.log2(n) + np.sqrt(n)) * np.finfo(kind).eps + 2 * float(ml_dtypes.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("size", ["lowest", "billion", "million"])
@pytest.mark.parametrize("name", WITH_LARGE_SCORES)
def test_weights_of_large_scores_sum_to_one(name, size, dtype):
    """However few digits of the scores are left: then the rows of dv sum to the rows of do that see a key."""
    if size == "billion" and dtype == "float16":
        pytest.skip("float16 has no number so large")
    sizes = {"q_heads": 2, "kv_heads": 2, "head_dim": 16, **WITH_LARGE_SCORES[name]}
    bias = None if size == "million" else "normal-bhqk"
    problem = Problem(**sizes, dtype=dtype, bias=bias, direction="backward")
    inputs, gradients = gradients_of_large_scores(problem, size)
    seen = admitted(problem, inputs.mask).any(axis=-1, keepdims=True)
    shape = (problem.batch, problem.kv_heads, -1, problem.v_head_dim)
    do = np.where(seen, inputs.do.astype(float), 0).reshape(shape)
    bound = roundoff_of(problem, inputs.do.dtype) * np.abs(do).sum(axis=2)
    rows_of_dv = gradients["dv"].sum(axis=2, dtype=np.longdouble)  # As float64 they would lose more than they may.
    assert (np.abs(rows_of_dv - do.sum(axis=2, dtype=np.longdouble)) <= bound).all()
    assert (gradients["dq"][~np.broadcast_to(seen, problem.q_shape)] == 0).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", ["few-queries", "a-tile", "many-keys", "few-queries-many-keys"])
def test_gradients_where_all_keys_are_biased_by_the_lowest_number(name, dtype):
    """Scores are lost in it, so that all weights are the same."""
    problem = Problem(
        q_heads=2, head_dim=16, dtype=dtype, bias="normal-bhqk", direction="backward", **WITH_LARGE_SCORES[name]
    )
    inputs, gradients = gradients_of_large_scores(problem, "lowest")
    q, k, v, do = (x.astype(float) for x in (inputs.q, inputs.k, inputs.v, inputs.do))
    n = problem.kv_len
    ds = problem.scale / n * do @ (v - v.mean(axis=2, keepdims=True)).swapaxes(-1, -2)
    right = {
        "dq": ds @ k,
        "dk": ds.swapaxes(-1, -2) @ q,
        "dv": np.broadcast_to(do.mean(axis=2, keepdims=True) * problem.q_len / n, v.shape),
    }
    for gradient, x in right.items():
        bound = 4 * roundoff_of(problem, inputs.q.dtype) * np.abs(x).max()
        np.testing.assert_allclose(gradients[gradient], x, rtol=0, atol=bound, err_msg=gradient)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("ratio", [0.01, 0.1, 1.0, 10.0, 1e4])
def test_softcap_of_every_size(ratio, dtype):
    """Scores of one key each, which are their row's maximum, to a few roundoffs of their own: tiny ones, and large ones."""
    size = np.concatenate([10.0 ** np.linspace(-6, 0, 100), np.linspace(0.01, 1, 100)])
    scores = np.concatenate([size, -size]).astype(dtype)
    problem = Problem(q_len=scores.size, kv_len=1, head_dim=1, scale=1.0, softcap=ratio, dtype=dtype)
    kernels, one = Fused(problem, 1), np.ones((1, 1, 1, 1), dtype)
    state = kernels.new_softmax_state()
    kernels.forward(scores.reshape(problem.q_shape), one, one, softmax_state=state)
    right = problem.softcap * np.tanh(scores.astype(float) / problem.softcap)
    np.testing.assert_allclose(state[0, 0, :, 0], right, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("x", [1e-4, 0.1, 0.6, 0.7, 2.0, 5.0, 8.0, 15.0])
def test_slope_of_softcap(x, dtype):
    """Near 1, tanh has too few digits left for 1 - tanh²."""
    problem = Problem(q_len=1, kv_len=2, head_dim=1, scale=1.0, softcap=0.01, dtype=dtype, direction="backward")
    q, k = np.full(problem.q_shape, x * problem.softcap, dtype), np.array([1, -1], dtype).reshape(problem.k_shape)
    kernels = Fused(problem, 1)
    state = kernels.new_softmax_state()
    o = kernels.forward(q, k, k, softmax_state=state)
    dq, _, _ = kernels.backward(q, k, k, o, state, np.ones(problem.o_shape, dtype))
    # The output is p - (1 - p) with p = 1 / (1 + exp(-2 s)), the tanh of s.
    right = (np.cosh(problem.softcap * np.tanh(x)) * np.cosh(x)) ** -2
    np.testing.assert_allclose(dq.item(), right, rtol=(8 + 4 * x) * np.finfo(dtype).eps)


BACKWARD_IN_CHUNKS = {
    "plain": {},
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16", "head_dim": 20},
    "causal": {"dtype": "bfloat16", "causal": "top-left", "kv_len": 202},
    "window": {"dtype": "bfloat16", "causal": "bottom-right", "window": (20, 0), "q_len": 230},
    "padding": {"batch": 3, "mask": "padding", "dtype": "bfloat16"},
    "empty-rows": {"mask": "empty-rows-b1qk", "softcap": 3.0},
    "grouped": {"q_heads": 4, "kv_heads": 2, "bias": "normal-bhqk", "dtype": "bfloat16"},
}


@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("name", BACKWARD_IN_CHUNKS)
def test_gradients_in_chunks(name, threads, monkeypatch):
    """dk and dv chunk by chunk of the keys, while dq waits in its own memory, whether a task is a head or a part of one."""
    sizes = {"batch": 1, "q_heads": 3, "q_len": 110, "kv_len": 203, "head_dim": 18, **BACKWARD_IN_CHUNKS[name]}
    problem = Problem(**{"kv_heads": sizes["q_heads"], **sizes}, direction="backward")
    monkeypatch.setattr(plan, "MIN_CHUNK_KEYS", 32)
    inputs, o, state, kernels = forward(problem, threads)
    assert kernels.plan_backward.sizes["chunk_keys"] < problem.kv_len / 3
    arguments = inputs.q, inputs.k, inputs.v, o, state, inputs.do
    outputs = dict(zip(("dq", "dk", "dv"), kernels.backward(*arguments, **inputs.extras), strict=True))
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    for gradient, again in zip(outputs, kernels.backward(*arguments, **inputs.extras), strict=True):
        np.testing.assert_array_equal(outputs[gradient], again)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
@pytest.mark.parametrize("empty", [{"batch": 0}, {"q_len": 0}, {"kv_len": 0}, {"q_len": 0, "kv_len": 0}])
def test_gradients_of_nothing(empty, dtype):
    """Arrays of the right shapes, and zeros where only the other side is empty."""
    fields = {"batch": 1, "q_heads": 2, "q_len": 5, "kv_len": 7, "head_dim": 20, **empty}
    problem = Problem(**fields, dtype=dtype, direction="backward")
    inputs, o, state, kernels = forward(problem, 2)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do)
    for gradient, like in zip(gradients, (inputs.q, inputs.k, inputs.v), strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(like.shape, like.dtype), strict=True)


@pytest.mark.parametrize("heads", [1, 3, 8, 64])
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sums_of_gradients_take_little_memory(dtype, threads, heads):
    """Beside the threads' tiles: third bytes of dq at most, and a chunk of dk and dv for each task.

    A task for each head and thread, or where heads are few, two for each thread and one more for each head.
    """
    problem = Problem(q_heads=heads, q_len=8192, kv_len=8192, head_dim=64, dtype=dtype, direction="backward")
    planned = plan.plan_backward(problem, threads)
    bytes_of_dq = problem.q_heads * problem.q_len * (problem.head_dim + 4)
    chunk = planned.sizes["chunk_keys"] * (problem.head_dim + problem.v_head_dim) * 4
    tasks = 2 * threads + heads if heads < 2 * threads else threads
    assert planned.states <= 1.01 * bytes_of_dq + tasks * chunk


@pytest.mark.parametrize("caches", [(32, 512), (32, 1024), (48, 2048)])
@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("length", [512, 1024, 2048, 8192])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_take_less_than_the_keys_and_a_half(dtype, length, head_dim, caches, monkeypatch):
    """What threads need, and what the forward pass saves for them: the output and the softmax state.

    It is a little more where keys go in chunks as short as they may be, since shorter ones would take too long.
    """
    monkeypatch.setattr(plan, "first_level_cache", lambda: caches[0] << 10)
    monkeypatch.setattr(plan, "second_level_cache", lambda: caches[1] << 10)
    problem = Problem(q_heads=8, q_len=length, kv_len=length, head_dim=head_dim, dtype=dtype, direction="backward")
    planned, size = plan.plan_backward(problem, threads=2), 2 if dtype == "bfloat16" else 4
    keys = problem.kv_heads * length * head_dim * size
    saved = keys + problem.q_heads * length * 2 * 4
    limit = 1.5 if planned.sizes["chunk_keys"] > plan.MIN_CHUNK_KEYS else 1.55
    assert planned.work * 2 + planned.states + saved < limit * keys


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


ON_A_PROCESSOR = """
import numpy as np
from harness.operators import checks
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem
from harness.operators.attention.reference import expected
from attention_harness.implementations.attention.numba_flash.attention import Fused
from attention_harness.implementations.attention.numba_flash.simd.vectors import simd

assert simd("float32").lanes == {lanes}
for changes in (
    {{"q_len": 37, "head_dim": 20}},
    {{"q_len": 1, "head_dim": 16}},
    {{"q_len": 37, "dtype": "bfloat16"}},
    {{"q_len": 3, "dtype": "float16"}},
    {{"q_len": 37, "mask": "random-bhqk", "bias": "normal-bhqk"}},
):
    sizes = {{"batch": 1, "q_heads": 2, "kv_heads": 1, "kv_len": 70, "head_dim": 16, **changes}}
    problem = Problem(**sizes, causal="bottom-right", direction="backward")
    inputs, kernels = make_inputs(problem, 1), Fused(problem, 2)
    state = kernels.new_softmax_state()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, softmax_state=state)
    for output in o, kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras):
        found = checks.accuracy({{"o": output}}, expected(problem.replace(direction="forward"), inputs))
        assert found.correct, checks.finding(found)
    outputs = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do, **inputs.extras)
    found = checks.accuracy(dict(zip(("dq", "dk", "dv"), outputs)), expected(problem, inputs))
    assert found.correct, checks.finding(found)
print("right")
"""


@pytest.mark.compiles
@pytest.mark.parametrize("name", PROCESSORS)
def test_other_processors(name):
    """With fewer instructions than the host: right, and in vectors of that processor's width."""
    processor, features, lanes = PROCESSORS[name]
    host = {feature for feature, present in binding.get_host_cpu_features().items() if present}
    if missing := {feature[1:] for feature in features.split(",") if feature} - host:
        pytest.skip(f"this processor lacks {', '.join(sorted(missing))}")
    done = run(ON_A_PROCESSOR.format(lanes=lanes), NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features)
    assert done.stdout.strip() == "right", done.stderr[-2000:]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("changes", [{}, {"q_len": 1}, {"v_head_dim": 24}], ids=["tiles", "rows", "narrower-values"])
def test_the_output_lies_in_memory_as_the_queries_do(dtype, changes):
    """(batch, length, heads, dim) in a model, which reshapes it to its width without a copy."""
    sizes = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 33, "kv_len": 70, "head_dim": 40, **changes}
    problem = Problem(**sizes, dtype=dtype)
    inputs, kernels = make_inputs(problem, 2), Fused(problem, 2)
    q, k, v = (x.swapaxes(1, 2).copy().swapaxes(1, 2) for x in (inputs.q, inputs.k, inputs.v))
    o = kernels.forward(q, k, v)
    assert o.swapaxes(1, 2).flags.c_contiguous and o.shape == problem.o_shape
    assert np.array_equal(o, kernels.forward(inputs.q, inputs.k, inputs.v))


FAR_APART = {
    "whole": {},
    "chunks": {"kv_len": 900},
    "causal": {"q_len": 400, "kv_len": 700, "causal": "bottom-right"},
    "window": {"causal": "top-left", "window": (130, -1), "q_len": 700, "kv_len": 700},
    "padding": {"kv_len": 600, "mask": "padding", "batch": 3},
    "masked": {"mask": "random-b1qk", "bias": "normal-bhqk"},
    "odd": {"head_dim": 33, "v_head_dim": 17, "kv_len": 301},
    "few-tiles": {"q_len": 30},
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", FAR_APART)
def test_keys_and_values_whose_rows_lie_far_apart(name, dtype, monkeypatch):
    """Both, or one of them; copied chunk by chunk, by more threads than there are heads too."""
    monkeypatch.setattr(plan, "second_level_cache", lambda: 128 * 1024)
    sizes = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 260, "kv_len": 333, "head_dim": 32, **FAR_APART[name]}
    problem = Problem(**sizes, dtype=dtype)
    inputs = make_inputs(problem, 4)
    apart = {x: getattr(inputs, x).swapaxes(1, 2).copy().swapaxes(1, 2) for x in "qkv"}
    right = expected(problem, inputs)
    for threads, some in ((2, "qkv"), (3, "k"), (2, "v")):
        kernels = Fused(problem, threads)
        assert (kernels.plan_scattered.sizes["packed"] > 0) == (name != "few-tiles")
        given = [apart[x] if x in some else getattr(inputs, x) for x in "qkv"]
        found = checks.accuracy({"o": kernels.forward(*given, **inputs.extras)}, right)
        assert found.correct, checks.finding(found)


IN_PYTORCHS_PROCESS = """
import numpy as np, torch
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem
from attention_harness.implementations.attention.numba_flash.attention import Fused
from attention_harness.implementations.attention.numba_flash.runtime import openmp, parallel
problem = Problem(batch=2, q_heads=3, kv_heads=3, q_len=150, kv_len=150, head_dim=32, direction="backward")
inputs = make_inputs(problem, 1)

def outputs(threads):
    kernels = Fused(problem, threads)
    state = kernels.new_softmax_state()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, softmax_state=state)
    return [o, *kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do)]

found = [outputs(threads) for threads in (1, 2, 5)]
print(openmp.of_pytorch() is not None, len(openmp.of_libraries()))
parallel.of_pytorch = lambda: None
for one, threads in zip(found, (1, 2, 5)):
    assert all(np.array_equal(a, b) for a, b in zip(one, outputs(threads)))
"""


def test_in_pytorchs_process_the_threads_are_pytorchs():
    """The same to the last bit, by any number of threads; and no second pool until one is asked for."""
    pytest.importorskip("torch")
    done = run(IN_PYTORCHS_PROCESS)
    assert done.returncode == 0, done.stderr[-2000:]
    found, libraries = done.stdout.split()
    assert found == "False" or libraries == "1", "PyTorch brings GNU's OpenMP, and Numba's was not loaded beside it"


WITH_AMX = """
from harness.operators import checks
from harness.operators.attention.inputs import make_inputs
from harness.problem import Problem
from harness.operators.attention.reference import expected
from attention_harness.implementations.attention.numba_flash.attention import Fused
from attention_harness.implementations.attention.numba_flash.layout import plan

plan.second_level_cache = lambda: 60 * 1024
for changes in (
    {},
    {"kv_len": 31},
    {"q_len": 530, "kv_len": 700, "v_head_dim": 48},
    {"q_len": 530, "causal": "top-left"},
    {"q_len": 530, "causal": "bottom-right", "window": (75, 3)},
    {"kv_len": 224, "mask": "padding", "batch": 3},
    {"mask": "random-11qk", "bias": "normal-bhqk", "scale": -0.3},
    {"head_dim": 64, "v_head_dim": 24},
    {"head_dim": 40, "v_head_dim": 16},
):
    sizes = {"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 200, "kv_len": 213, "head_dim": 32, **changes}
    problem = Problem(**sizes, dtype="bfloat16", direction="backward")
    inputs, kernels = make_inputs(problem, 1), Fused(problem, 1, tile_keys=80)
    assert (kernels.plan_forward.sizes["transposed_row"] > 0) == (problem.v_head_dim % 16 == 0)
    state = kernels.new_softmax_state()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, softmax_state=state)
    found = checks.accuracy({"o": o}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    transposed = [x.swapaxes(-1, -2).copy().swapaxes(-1, -2) for x in (inputs.q, inputs.k, inputs.v)]
    again = kernels.forward(*transposed, **inputs.extras)
    found = checks.accuracy({"o": again}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    outputs = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do, **inputs.extras)
    found = checks.accuracy(dict(zip(("dq", "dk", "dv"), outputs)), expected(problem, inputs))
    assert found.correct, checks.finding(found)
print("right")
"""


@pytest.mark.compiles
@pytest.mark.skipif(not has_bfloat16_products(), reason="this processor has no AVX512-BF16")
@pytest.mark.parametrize("by", ["", "emulated"])
def test_amx(by):
    """Whole tiles and the remainder beside them, with the processor's tiles and with vectors in their place."""
    if by == "" and amx() != "processor":
        pytest.skip("this processor has no AMX, or the system does not let it be used")
    done = run(WITH_AMX, NUMBA_FLASH_AMX=by)
    assert done.stdout.strip() == "right", done.stderr[-2000:]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_amx_instructions(count):
    """Compiled for a processor with AMX: the instructions of a product of 16 rows do not depend on its steps."""
    module = ir.Module()
    module.triple = "x86_64-unknown-linux-gnu"
    kind = ir.FunctionType(ir.VoidType(), [INTP] * 7 + [ir.IntType(1)])
    function = ir.Function(module, kind, "tile_product")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    registers = Registers()
    registers.configure(builder)
    amx_gemm_body(registers, count)(builder, function.args)
    registers.release(builder)
    builder.ret_void()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(module.triple)
    machine = target.create_target_machine(cpu="sapphirerapids", features="+amx-tile,+amx-bf16", opt=2)
    code = machine.emit_assembly(binding.parse_assembly(str(module)))
    found = {name: code.count(f"\t{name}\t") for name in ("tdpbf16ps", "tileloadd", "tilezero", "tilestored", "ldtilecfg")}
    assert found == {
        "tdpbf16ps": count, "tileloadd": 1 + 2 * count, "tilezero": count, "tilestored": count, "ldtilecfg": 1
    }  # fmt: skip
    assert "\ttilerelease" in code


WORK = """
import numpy as np
from harness.problem import Problem
from attention_harness.implementations.attention.numba_flash.attention import Fused
x = np.ones((1, 1, 16, 8), np.float32)
Fused(Problem(q_len=16, head_dim=8), 1).forward(x, x, x)
"""


@pytest.mark.compiles
def test_compiled_code_is_found_again(tmp_path):
    """A second process compiles nothing: no file of compiled code is added or written anew."""
    stamps = []
    for _ in range(2):
        done = run(WORK, NUMBA_CACHE_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr[-2000:]
        stamps.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")})
    assert stamps[0] == stamps[1]
    assert any(path.suffix == ".nbc" for path in stamps[0])


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"q": np.ones((1, 4, 8), np.float32)},
            r"q must be float32 of shape \(1, 1, 4, 8\), not float32 of shape \(1, 4, 8\)",
        ),
        ({"k": np.ones((1, 1, 5, 8))}, r"k must be float32 of shape .*, not float64"),
        ({"mask": np.ones((4, 5), np.uint8)}, r"mask must be bool of shape .*, not uint8"),
        ({"bias": np.ones((4, 5))}, r"bias must be float32 of shape .*, not float64"),
        (
            {"softmax_state": np.ones((1, 1, 4), np.float32)},
            r"softmax_state must be float32 of shape \(1, 1, 4, 2\), not float32 of shape \(1, 1, 4\)",
        ),
    ],
)
def test_other_arrays_are_refused(changes, said):
    """Kernels work on addresses, so a wrong array must not reach them."""
    problem = Problem(q_len=4, kv_len=5, head_dim=8)
    q, k = np.ones(problem.q_shape, np.float32), np.ones(problem.k_shape, np.float32)
    with pytest.raises(ValueError, match=said):
        Fused(problem, 1).forward(**{"q": q, "k": k, "v": k, **changes})


IN_CHUNKS = {
    "plain": {},
    "causal": {"causal": "top-left"},
    "causal-grouped": {"q_heads": 4, "kv_heads": 2, "causal": "bottom-right"},
    "window": {"causal": "bottom-right", "window": (40, 0)},
    "padding": {"batch": 3, "mask": "padding"},
    "empty-rows": {"mask": "empty-rows-b1qk"},
    "bfloat16": {"dtype": "bfloat16", "head_dim": 32},
    "many-heads": {"batch": 8, "q_heads": 2, "q_len": 500},
}


@pytest.mark.parametrize("name", IN_CHUNKS)
def test_keys_in_chunks(name, monkeypatch):
    """Tiles go together through chunks of a head's keys, as its length, or the cache's size, makes them."""
    sizes = {"batch": 1, "q_heads": 2, "q_len": 530, "kv_len": 210, "head_dim": 16, **IN_CHUNKS[name]}
    problem = Problem(**{"kv_heads": sizes["q_heads"], **sizes})
    inputs, _, whole, _ = forward(problem, 1)
    monkeypatch.setattr(plan, "second_level_cache", lambda: 12 * 1024)
    _, o, state, kernels = forward(problem, 1)
    assert kernels.plan_forward.sizes["chunk_keys"] < problem.kv_len
    found = checks.accuracy({"o": o}, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    np.testing.assert_array_equal(np.isinf(state), np.isinf(whole))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("head_dim, tile_keys", [(1, 64), (1, 128), (40, 128)])
def test_bias_and_mask_on_long_tiles(head_dim, tile_keys, dtype):
    """Several vectors of a row of the bias, and 32 booleans of the mask, at once: also with little room for copies."""
    problem = Problem(
        q_heads=2, q_len=101, kv_len=203, head_dim=head_dim, v_head_dim=head_dim, dtype=dtype, window=(31, 40),
        bias="normal-bhqk", mask="random-bhqk", direction="backward",
    )  # fmt: skip
    inputs, kernels = make_inputs(problem, 2), Fused(problem, 2, tile_keys)
    state = kernels.new_softmax_state()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, softmax_state=state)
    found = checks.accuracy({"o": o}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, state, inputs.do, **inputs.extras)
    found = checks.accuracy(dict(zip(("dq", "dk", "dv"), gradients, strict=True)), expected(problem, inputs))
    assert found.correct, checks.finding(found)


@pytest.mark.parametrize("kilobytes", [16, 24, 32, 33, 48, 64, 128])
def test_tiles_are_of_whole_micro_kernels(kilobytes, monkeypatch):
    """Whatever the size of the cache: a tile's products are written in blocks of `ROWS` rows."""
    monkeypatch.setattr(plan, "first_level_cache", lambda: kilobytes * 1024)
    monkeypatch.setattr(plan, "second_level_cache", lambda: 10 * kilobytes * 1024)
    for dtype in ("float32", "float64"):
        problem = Problem(q_len=64, kv_len=1000, head_dim=32, dtype=dtype)
        for one in plan.plan_forward(problem, 2), plan.plan_backward(problem, 2):
            assert one.sizes["tile_keys"] % ROWS == 0


@pytest.mark.parametrize("keys", [0, 8, 100])
def test_tiles_of_other_sizes_are_refused(keys):
    with pytest.raises(ValueError, match=f"tile_keys must be a multiple of 16, not {keys}"):
        Fused(Problem(q_len=4, head_dim=8), 1, tile_keys=keys)


def test_fields_of_records():
    """Strides that are no multiple of an element."""
    problem = Problem(q_len=4, head_dim=8)
    records = np.zeros(problem.q_shape, [("flag", "u1"), ("x", "f4")])
    records["x"] = np.random.default_rng(0).standard_normal(problem.q_shape)
    x, kernels = records["x"].copy(), Fused(problem, 1)
    np.testing.assert_array_equal(kernels.forward(*[records["x"]] * 3), kernels.forward(x, x, x))
