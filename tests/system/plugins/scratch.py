"""Attention to a single key is its value. A call needs as many bytes as the left side of the problem's window says."""

import numpy as np

from harness.problem import Problem
from harness.registry import EVERYTHING, implementation


def scratch_bytes(problem: Problem) -> int:
    return problem.window[0]


@implementation("numpy-scratch", framework="numpy", supports=EVERYTHING)
def numpy_scratch(problem: Problem):
    """NumPy's allocator."""

    def attention(q, k, v):
        scratch = np.ones(scratch_bytes(problem), np.uint8)
        return v * scratch[-1]

    return attention


@implementation("numpy-kept", framework="numpy", supports=EVERYTHING)
def numpy_kept(problem: Problem):
    """The same, kept from the first call on."""
    kept = []

    def attention(q, k, v):
        if not kept:
            kept.append(np.ones(scratch_bytes(problem), np.uint8))
        return v * kept[0][-1]

    return attention


@implementation("numpy-untouched", framework="numpy", supports=EVERYTHING)
def numpy_untouched(problem: Problem):
    """It asks for memory, and does not use it."""

    def attention(q, k, v):
        unused = np.empty(scratch_bytes(problem), np.uint8)
        return v * unused.itemsize

    return attention


@implementation("python-scratch", framework="numpy", supports=EVERYTHING)
def python_scratch(problem: Problem):
    """Python's own allocator: objects of 64 bytes, and a pointer to each."""

    def attention(q, k, v):
        scratch = [b""] * (scratch_bytes(problem) // 72)
        for n in range(len(scratch)):
            scratch[n] = bytes(31)
        return v * (len(scratch[0]) > 0)

    return attention


@implementation("torch-scratch", framework="torch", supports=EVERYTHING)
def torch_scratch(problem: Problem):
    """PyTorch's allocator on the CPU."""
    import torch

    def attention(q, k, v):
        scratch = torch.ones(scratch_bytes(problem), dtype=torch.uint8)
        return v * scratch[-1]

    return attention


@implementation("jax-scratch", framework="jax", supports=EVERYTHING)
def jax_scratch(problem: Problem):
    """XLA's allocator on the CPU."""
    import jax
    import jax.numpy as jnp

    @jax.jit
    def attention(q, k, v):
        scratch = jnp.full(scratch_bytes(problem) // 4, q[0, 0, 0, 0])
        scratch = jax.lax.fori_loop(0, 2, lambda n, x: x.at[n].set(k[0, 0, 0, n]), scratch)
        return v + 0 * scratch[2]

    return attention


@implementation("tensorflow-scratch", framework="tensorflow", supports=EVERYTHING)
def tensorflow_scratch(problem: Problem):
    """TensorFlow's allocator on the CPU."""
    import tensorflow as tf

    def attention(q, k, v):
        scratch = tf.fill([scratch_bytes(problem) // 4], q[0, 0, 0, 0])
        return v + 0 * scratch[-1]

    return tf.function(attention, autograph=False)


@implementation("onnxruntime-scratch", framework="onnxruntime", supports=EVERYTHING)
def onnxruntime_scratch(problem: Problem):
    """ONNX Runtime's arena."""
    import onnx.parser
    import onnxruntime

    shape = list(problem.q_shape)
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 21]>
        attention (float{shape} q, float{shape} k, float{shape} v) => (float{shape} o)
        <float zero = {{0}}, int64[1] first = {{0}}, int64[1] count = {{{scratch_bytes(problem) // 4}}}>
        {{
            largest = ReduceMax <keepdims = 0> (q)
            scratch = Expand(largest, count)
            one = Gather(scratch, first)
            nothing = Mul(one, zero)
            o = Add(v, nothing)
        }}
    """)
    options = onnxruntime.SessionOptions()
    options.use_per_session_threads = False
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda q, k, v: session.run(None, {"q": q, "k": k, "v": v})[0]
