"""The frameworks that continuous integration insists on."""

import pytest

from harness.frameworks import adapter


@pytest.fixture(params=["numpy", "numba", "torch", "tensorflow", "keras", "jax", "onnxruntime", "openvino"])
def framework(request):
    return adapter(request.param)
