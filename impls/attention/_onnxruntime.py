"""What the ONNX Runtime implementations share: a model written in ONNX's textual notation, and the session that runs it."""

import tempfile
from pathlib import Path

import numpy as np

from harness.masks import band_mask, four_axes, four_axes_shape
from harness.problem import Problem
from harness.registry import Kernel

_TENSORS = {"float32": "float", "float16": "float16", "bool": "bool"}
"""Dtypes in ONNX's notation."""

_HEADER = '<ir_version: 12, opset_import: ["" : 24, "com.microsoft" : 1]>'


class Model:
    """A model while it is written; what adds to it gives back the name to go on with."""

    def __init__(self, dtype):
        self.dtype = dtype
        self._inputs: list[str] = []
        self._lines: list[str] = []
        self._constants: dict[str, np.ndarray] = {}

    def input(self, name, shape, dtype=None):
        """An input."""
        self._inputs.append(f"{_TENSORS[dtype or self.dtype]}{list(shape)} {name}")
        return name

    def constant(self, name, value, dtype=None):
        """A constant."""
        self._constants[name] = np.asarray(value, dtype or self.dtype)
        return name

    def line(self, name, expression):
        """What an operator makes of what there is."""
        self._lines.append(f"{name} = {expression}")
        return name

    def session(self, o, shape):
        """The session that computes the output `o`, with the threads of the process-wide pool."""
        import onnx.parser
        import onnxruntime

        inputs, lines = ", ".join(self._inputs), "\n".join(self._lines)
        output = f"{_TENSORS[self.dtype]}{list(shape)} {o}"
        model = onnx.parser.parse_model(f"{_HEADER} attention ({inputs}) => ({output}) {{ {lines} }}")
        constants = self._constants.items()
        model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants)
        options = onnxruntime.SessionOptions()
        options.use_per_session_threads = False
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        session.kernels = lambda: kernels(model)
        return session


def kernels(model):
    """The nodes that ONNX Runtime has made of a model. What it casts to float32 it computes in that."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.use_per_session_threads = False
        options.log_severity_level = 3  # It warns that what it writes is for this processor only.
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    to_float = [attribute.i == onnx.TensorProto.FLOAT for n in nodes if n.op_type == "Cast" for attribute in n.attribute]
    return [Kernel(f"ONNX Runtime {node.op_type}", "float32" if any(to_float) else "") for node in nodes]


def added_to_scores(model: Model, problem: Problem, banded, as_numbers=False):
    """Mask, bias and, if `banded`, causality and window, as the one tensor that the operators take; "" for none.

    Shape (B or 1, Hq or 1, Lq, Lk). Boolean where there is no bias, unless `as_numbers` asks for 0 and -inf.
    """
    shapes, seen, bias = [], "", ""
    if problem.mask:
        shapes.append(four_axes_shape(problem.mask_shape))
        seen = model.input("mask", shapes[-1], "bool")
    if problem.bias:
        shapes.append(four_axes_shape(problem.bias_shape))
        bias = model.input("bias", shapes[-1])
    band = four_axes(band_mask(problem)) if banded else None
    if band is not None:
        shapes.append(band.shape)
        visible = model.constant("band", band, "bool")
        seen = model.line("seen", f"And({seen}, {visible})") if seen else visible
    added = seen or bias
    if seen and (bias or as_numbers):
        base = bias or model.constant("zero", 0)
        added = model.line("blocking", f"Where({seen}, {base}, {model.constant('hidden', -np.inf)})")
    lengths = problem.q_len, problem.kv_len
    if added and np.broadcast_shapes(*shapes)[2:] != lengths:  # The operators broadcast batch and heads only.
        added = model.line("added", f"Expand({added}, {model.constant('lengths', lengths, 'int64')})")
    return added


def empty_rows_zeroed(model, o, added, shape):
    """o as (B, Lq, H, Dv); the operator gives nan to a row whose every key is hidden, and the contract says zero."""
    largest = model.line("largest", f"ReduceMax({added}, {model.constant('keys', [-1], 'int64')})")
    any_key = model.line("any_key", f"Greater({largest}, {model.constant('hidden', -np.inf)})")
    of_rows = model.line("of_rows", f"Transpose <perm = [0, 2, 1, 3]> ({any_key})")
    rows = model.line("rows", f"Reshape({o}, {model.constant('shape', shape, 'int64')})")
    return model.line("zeroed", f"Where({of_rows}, {rows}, {model.constant('zero', 0)})")


def with_four_axes(arrays):
    """Views of mask and bias, by name, with all four axes."""
    return {name: four_axes(x) for name, x in arrays.items()}


def above_the_lowest(model, added):
    """Nine tenths of the lowest number in its place, which no score can tell from it.

    To the operators the lowest number hides a key, and a row of nothing else is zero, not the mean.
    """
    lowest = np.finfo(model.dtype).min
    is_lowest = model.line("is_lowest", f"Equal({added}, {model.constant('lowest', lowest)})")
    return model.line("raised", f"Where({is_lowest}, {model.constant('low', 0.9 * lowest)}, {added})")


def zeros(shape):
    """Without a query or a key there is no score, and the operators refuse."""
    return lambda q, k, v, **extras: np.zeros(shape, q.dtype)
