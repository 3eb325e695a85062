"""The fused CPU kernels beyond the conformance suite: shares of the work, other processors, the cache of compiled code."""

import os
import subprocess
import sys
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from llvmlite import binding, ir

from harness.conformance import checks
from harness.inputs import make_inputs
from harness.problem import Problem
from harness.reference import expected
from impls.kernels.fused import plan
from impls.kernels.fused.attention import Fused
from impls.kernels.fused.microkernel import ROWS
from impls.kernels.fused.operands import CHUNK, TILE_KEYS
from impls.kernels.fused.processor import has_bfloat16_products, tiles
from impls.kernels.fused.simd import INTP
from impls.kernels.fused.tiles import Registers, product_of

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
    """(inputs, output, log-sum-exp, kernels)."""
    inputs, kernels = make_inputs(problem, seed), Fused(problem, threads)
    lse = kernels.new_lse()
    return inputs, kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, lse=lse), lse, kernels


@pytest.mark.parametrize("name", WITH_PARTS)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_keys_in_parts(name, threads):
    problem = Problem(**{"batch": 1, "q_heads": 2, **WITH_PARTS[name]})
    inputs, o, _, _ = forward(problem, threads)
    found = checks.accuracy({"o": o}, expected(problem, inputs))
    assert found.correct, checks.finding(found)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("head_dim", [16, 32, 48, 64, 128, 256])
def test_rows_of_every_width(head_dim, dtype):
    """A query's dot products: rows of one vector to sixteen, with and without the query held in registers."""
    problem = Problem(batch=1, q_heads=2, kv_heads=1, q_len=1, kv_len=83, head_dim=head_dim, dtype=dtype)
    inputs, o, _, kernels = forward(problem, 2)
    assert kernels.plan_decode is not None
    found = checks.accuracy({"o": o}, expected(problem, inputs))
    assert found.correct, checks.finding(found)


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_gradients_of_few_heads(threads):
    """Queries are dealt out to several tasks, which add up apart what they share; the same on every run."""
    problem = Problem(
        batch=1, q_heads=2, kv_heads=1, q_len=210, kv_len=75, head_dim=20, causal="top-left", direction="backward"
    )
    inputs, o, lse, kernels = forward(problem, threads)
    arguments = inputs.q, inputs.k, inputs.v, o, lse, inputs.do
    outputs = dict(zip(("dq", "dk", "dv"), kernels.backward(*arguments), strict=True))
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    for name, again in zip(outputs, kernels.backward(*arguments), strict=True):
        np.testing.assert_array_equal(outputs[name], again)


@pytest.mark.parametrize("head_dim, v_head_dim", [(7, 5), (24, 33), (64, 64)])
@pytest.mark.parametrize("scale", [None, -0.3, 0.0])
def test_bfloat16_in_pairs(head_dim, v_head_dim, scale):
    """Odd sizes, and rows and columns that lie elsewhere than next to each other."""
    problem = Problem(
        batch=1, q_heads=2, kv_heads=1, q_len=37, kv_len=29, head_dim=head_dim, v_head_dim=v_head_dim, scale=scale,
        dtype="bfloat16", direction="backward",
    )  # fmt: skip
    inputs, o, lse, kernels = forward(problem, 2)
    outputs = dict(zip(["q", "k", "v"], kernels.backward(inputs.q, inputs.k, inputs.v, o, lse, inputs.do), strict=True))
    found = checks.accuracy({"o": o, **{f"d{name}": x for name, x in outputs.items()}}, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    spread = [np.repeat(np.repeat(x, 2, axis=2), 3, axis=3)[:, :, ::2, ::3] for x in (inputs.q, inputs.k, inputs.v)]
    np.testing.assert_array_equal(kernels.forward(*spread), o)
    turned = [np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) for x in (inputs.q, inputs.k, inputs.v)]
    np.testing.assert_array_equal(kernels.forward(*turned), o)


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
    lse, extras = kernels.new_lse(), inputs.extras
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **extras, lse=lse)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, lse, inputs.do, **extras)
    outputs = {"o": o, **dict(zip(("dq", "dk", "dv"), gradients, strict=True))}
    found = checks.accuracy(outputs, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    spread = {field: np.repeat(x, 2, axis=-1)[..., ::2] for field, x in extras.items()}
    np.testing.assert_array_equal(kernels.forward(inputs.q, inputs.k, inputs.v, **spread), o)


@pytest.mark.parametrize("name", WITH_PARTS)
def test_log_sum_exp(name):
    """Of float64 scores; -inf for a row that has nothing to attend to."""
    problem = Problem(**{"batch": 1, "q_heads": 2, "dtype": "float64", **WITH_PARTS[name]})
    inputs, _, lse, _ = forward(problem, 2)
    q, k = inputs.q, inputs.k.repeat(problem.group, axis=1)
    scores = problem.scale * q @ k.swapaxes(-1, -2)
    distance = np.arange(problem.kv_len) - np.arange(problem.q_len)[:, None]
    low, high = problem.band
    seen = (distance >= low) & (distance <= high)
    if problem.mask:
        seen = seen & inputs.mask
    scores = np.where(seen, scores, -np.inf)
    right = np.logaddexp.reduce(scores, axis=-1)
    assert (lse == -np.inf).any() == (name == "nothing")
    # A sum of n positive terms, each a rounding off, and a logarithm.
    np.testing.assert_allclose(lse, right, rtol=0, atol=problem.kv_len * np.finfo(float).eps)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("q_len", [1, 40])
def test_lowest_number_as_bias(q_len, dtype):
    """The lowest finite number hides a key beside others, but is not -inf: where all keys have it, they weigh the same."""
    problem = Problem(batch=1, q_heads=1, q_len=q_len, kv_len=64, head_dim=16, dtype=dtype, bias="normal-bhqk")
    inputs, kernels = make_inputs(problem, 6), Fused(problem, 2)
    low, half = ml_dtypes.finfo(inputs.bias.dtype).min, problem.kv_len // 2
    bias = np.full_like(inputs.bias, low)  # Scores are lost in it.
    bias[..., :half] = -np.inf
    lse = kernels.new_lse()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, bias=bias, lse=lse)
    v = inputs.v[:, :, half:].astype(float)
    # A sum of so many terms and a division, then a rounding to the output's dtype.
    roundoff = float(ml_dtypes.finfo(inputs.v.dtype).eps) + half * np.finfo(kernels.lse_dtype).eps
    right = np.broadcast_to(v.mean(axis=2, keepdims=True), o.shape)
    np.testing.assert_allclose(o.astype(float), right, rtol=0, atol=roundoff * np.abs(v).max())
    np.testing.assert_array_equal(lse, kernels.lse_dtype.type(low))


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
    monkeypatch.setattr(plan, "LEAST_SUMS", 32)
    inputs, o, lse, kernels = forward(problem, threads)
    assert kernels.plan_backward.sizes[CHUNK] < problem.kv_len / 3
    arguments = inputs.q, inputs.k, inputs.v, o, lse, inputs.do
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
    inputs, o, lse, kernels = forward(problem, 2)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, lse, inputs.do)
    for gradient, like in zip(gradients, (inputs.q, inputs.k, inputs.v), strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(like.shape, like.dtype), strict=True)


@pytest.mark.parametrize("heads", [1, 3, 8, 64])
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sums_of_gradients_take_little_memory(dtype, threads, heads):
    """What lies behind the threads' tiles: third bytes of dq at most, and chunks of dk and dv for each task at once.

    A task for each head and thread, or where heads are few, two for each thread and one more for each head.
    """
    problem = Problem(q_heads=heads, q_len=8192, kv_len=8192, head_dim=64, dtype=dtype, direction="backward")
    planned = plan.plan_backward(problem, threads)
    bytes_of_dq = problem.q_heads * problem.q_len * (problem.head_dim + 4)
    chunk = planned.sizes[CHUNK] * (problem.head_dim + problem.v_head_dim) * 4
    tasks = 2 * threads + heads if heads < 2 * threads else threads
    assert planned.states <= 1.01 * bytes_of_dq + tasks * chunk


@pytest.mark.parametrize("caches", [(32, 512), (32, 1024), (48, 2048)])
@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("length", [512, 1024, 2048, 8192])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_take_less_than_the_keys_and_a_half(dtype, length, head_dim, caches, monkeypatch):
    """What threads need, and what the forward pass saves for them: the output and the log-sum-exp."""
    monkeypatch.setattr(plan, "first_level_cache", lambda: caches[0] << 10)
    monkeypatch.setattr(plan, "second_level_cache", lambda: caches[1] << 10)
    problem = Problem(q_heads=8, q_len=length, kv_len=length, head_dim=head_dim, dtype=dtype, direction="backward")
    planned, size = plan.plan_backward(problem, threads=2), 2 if dtype == "bfloat16" else 4
    keys = problem.kv_heads * length * head_dim * size
    saved = keys + problem.q_heads * length * 4
    assert planned.work * 2 + planned.states + saved < 1.5 * keys


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


ON_A_PROCESSOR = """
import numpy as np
from harness.conformance import checks
from harness.inputs import make_inputs
from harness.problem import Problem
from harness.reference import expected
from impls.kernels.fused import simd
from impls.kernels.fused.attention import Fused

assert simd.simd("float32").lanes == {lanes}
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
    lse = kernels.new_lse()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, lse=lse)
    found = checks.accuracy({{"o": o}}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    outputs = kernels.backward(inputs.q, inputs.k, inputs.v, o, lse, inputs.do, **inputs.extras)
    found = checks.accuracy(dict(zip(("dq", "dk", "dv"), outputs)), expected(problem, inputs))
    assert found.correct, checks.finding(found)
print("right")
"""


@pytest.mark.parametrize("name", PROCESSORS)
def test_other_processors(name):
    """With fewer instructions than the host: right, and in vectors of that processor's width."""
    processor, features, lanes = PROCESSORS[name]
    host = {feature for feature, present in binding.get_host_cpu_features().items() if present}
    if missing := {feature[1:] for feature in features.split(",") if feature} - host:
        pytest.skip(f"this processor lacks {', '.join(sorted(missing))}")
    done = run(ON_A_PROCESSOR.format(lanes=lanes), NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features)
    assert done.stdout.strip() == "right", done.stderr[-2000:]


IN_MATRIX_TILES = """
from harness.conformance import checks
from harness.inputs import make_inputs
from harness.problem import Problem
from harness.reference import expected
from impls.kernels.fused import plan
from impls.kernels.fused.attention import Fused
from impls.kernels.fused.operands import TURNED

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
    assert (kernels.plan_forward.sizes[TURNED] > 0) == (problem.v_head_dim % 16 == 0)
    lse = kernels.new_lse()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, lse=lse)
    found = checks.accuracy({"o": o}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    turned = [x.swapaxes(-1, -2).copy().swapaxes(-1, -2) for x in (inputs.q, inputs.k, inputs.v)]
    again = kernels.forward(*turned, **inputs.extras)
    found = checks.accuracy({"o": again}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    outputs = kernels.backward(inputs.q, inputs.k, inputs.v, o, lse, inputs.do, **inputs.extras)
    found = checks.accuracy(dict(zip(("dq", "dk", "dv"), outputs)), expected(problem, inputs))
    assert found.correct, checks.finding(found)
print("right")
"""


@pytest.mark.skipif(not has_bfloat16_products(), reason="this processor has no AVX512-BF16")
@pytest.mark.parametrize("by", ["", "emulated"])
def test_matrix_tiles(by):
    """Whole tiles and what is left beside them, with the processor's tiles and with vectors in their place."""
    if by == "" and tiles() != "processor":
        pytest.skip("this processor has no AMX, or the system does not let it be used")
    done = run(IN_MATRIX_TILES, NUMBA_FLASH_TILES=by)
    assert done.stdout.strip() == "right", done.stderr[-2000:]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_instructions_on_matrix_tiles(count):
    """Compiled for a processor with AMX: a product of 16 rows is so many instructions, however many steps."""
    module = ir.Module()
    module.triple = "x86_64-unknown-linux-gnu"
    kind = ir.FunctionType(ir.VoidType(), [INTP] * 7 + [ir.IntType(1)])
    function = ir.Function(module, kind, "tile_product")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    registers = Registers()
    registers.configure(builder)
    product_of(registers, count)(builder, function.args)
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
from impls.kernels.fused.attention import Fused
x = np.ones((1, 1, 16, 8), np.float32)
Fused(Problem(q_len=16, head_dim=8), 1).forward(x, x, x)
"""


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
        ({"lse": np.ones((1, 1, 3), np.float32)}, r"lse must be float32 of shape \(1, 1, 4\)"),
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
    inputs, _, whole_lse, _ = forward(problem, 1)
    monkeypatch.setattr(plan, "second_level_cache", lambda: 12 * 1024)
    _, o, lse, kernels = forward(problem, 1)
    assert kernels.plan_forward.sizes[CHUNK] < problem.kv_len
    found = checks.accuracy({"o": o}, expected(problem, inputs))
    assert found.correct, checks.finding(found)
    np.testing.assert_array_equal(np.isinf(lse), np.isinf(whole_lse))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("head_dim, tile_keys", [(1, 64), (1, 128), (40, 128)])
def test_bias_and_mask_on_long_tiles(head_dim, tile_keys, dtype):
    """Several vectors of a row of the bias, and 32 booleans of the mask, at once: also with little room for copies."""
    problem = Problem(
        q_heads=2, q_len=101, kv_len=203, head_dim=head_dim, v_head_dim=head_dim, dtype=dtype, window=(31, 40),
        bias="normal-bhqk", mask="random-bhqk", direction="backward",
    )  # fmt: skip
    inputs, kernels = make_inputs(problem, 2), Fused(problem, 2, tile_keys)
    lse = kernels.new_lse()
    o = kernels.forward(inputs.q, inputs.k, inputs.v, **inputs.extras, lse=lse)
    found = checks.accuracy({"o": o}, expected(problem.replace(direction="forward"), inputs))
    assert found.correct, checks.finding(found)
    gradients = kernels.backward(inputs.q, inputs.k, inputs.v, o, lse, inputs.do, **inputs.extras)
    found = checks.accuracy(dict(zip(("dq", "dk", "dv"), gradients, strict=True)), expected(problem, inputs))
    assert found.correct, checks.finding(found)


@pytest.mark.parametrize("kilobytes", [16, 24, 32, 33, 48, 64, 128])
def test_tiles_are_of_whole_micro_kernels(kilobytes, monkeypatch):
    """Whatever the size of the cache: a tile's products are written in blocks of so many rows."""
    monkeypatch.setattr(plan, "first_level_cache", lambda: kilobytes * 1024)
    monkeypatch.setattr(plan, "second_level_cache", lambda: 10 * kilobytes * 1024)
    for dtype in ("float32", "float64"):
        problem = Problem(q_len=64, kv_len=1000, head_dim=32, dtype=dtype)
        for one in plan.plan_forward(problem, 2), plan.plan_backward(problem, 2):
            assert one.sizes[TILE_KEYS] % ROWS == 0


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
