"""What a just-in-time compiler needs of the machine."""

import os
import shutil


def needs_cxx(device: str) -> str | None:
    """PyTorch's compiler turns CPU code into C++, so it needs a C++ compiler there; on CUDA it brings its own."""
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None and shutil.which("clang++") is None:
        return "torch.compile on the CPU needs a C++ compiler, and neither g++ nor clang++ was found"
    return None
