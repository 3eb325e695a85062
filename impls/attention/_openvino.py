"""What the OpenVINO implementations share: how a model is compiled and asked, and what its masks need."""

import os
import threading

import numpy as np

from harness.registry import Kernel


def compiled(outputs, inputs):
    """The model as one stream of all threads. By default OpenVINO would make bfloat16 of float32 where it can."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "ACCURACY",
        "INFERENCE_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "0"),
        "ENABLE_HYPER_THREADING": "YES",  # Else it takes fewer threads than it is given.
        "NUM_STREAMS": "1",
    }
    return openvino.Core().compile_model(openvino.Model(outputs, inputs, "attention"), "CPU", settings)


class Requests(threading.local):
    """A request for each calling thread: two at once cannot share one."""

    def __init__(self, compiled):
        self.own = compiled.create_infer_request()


def kernels(compiled):
    """What OpenVINO says that its operations have become, those apart that only move numbers."""
    found = []
    for operation in compiled.get_runtime_model().get_ordered_ops():
        kind, name, dtype = (
            operation.rt_info[key].astype(str) for key in ("layerType", "primitiveType", "runtimePrecision")
        )
        if kind not in _MOVES:
            found.append(Kernel(f"OpenVINO {kind} {name}", _DTYPES.get(dtype, "")))
    return found


_MOVES = {"Input", "Output", "Const", "Reorder", "Reshape", "Transpose"}
_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def rows_with_keys(added):
    """Whether each row sees a key, (…, 1). The largest of its numbers would not tell: of -inf alone it is another."""
    from openvino import Type
    from openvino import opset13 as op

    kind = added.get_element_type()
    seen = added if kind == Type.boolean else op.greater(added, minus_infinity(kind))
    return op.reduce_logical_or(seen, -1, keep_dims=True)


def minus_infinity(kind):
    """A constant; of bfloat16 it cannot be made directly."""
    from openvino import opset13 as op

    return op.convert(op.constant(np.float32(-np.inf)), kind)
