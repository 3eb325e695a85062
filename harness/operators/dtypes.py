"""The dtypes of inputs and outputs, and the directions of a problem."""

DTYPES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
"""The dtypes of inputs and output, with their bytes an element."""

DTYPE_SHORT = {"float64": "f64", "float32": "f32", "bfloat16": "bf16", "float16": "f16"}

DIRECTIONS = ("forward", "backward")
