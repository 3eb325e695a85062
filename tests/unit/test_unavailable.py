"""Where the kernel of an optional library cannot run, that is a reason in a table."""

import importlib.metadata
import importlib.util
from importlib.machinery import ModuleSpec

import pytest
from attention_harness.implementations.attention import zentorch_sdpa

from harness.plugins.contender import contenders
from harness.plugins.registry import discover

VERSIONS = {"zentorch": "2.13.0.2", "torch": "2.13.0+cpu"}


@pytest.fixture
def installed(monkeypatch):
    """Pretends that every module is installed, these distributions in these versions, on a processor with these flags."""

    def install(versions, flags=("avx512_bf16",)):
        def version(name):
            if name not in versions:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(importlib.util, "find_spec", lambda name: ModuleSpec(name, None))
        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.setattr(zentorch_sdpa, "_processor_flags", lambda: list(flags))

    return install


def reason(name="zentorch"):
    (one,) = contenders(discover([]).registries["attention"], [name], "cpu")
    return one.absent


def test_not_installed_is_a_reason_that_says_what_to_type(installed, monkeypatch):
    installed(VERSIONS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "zentorch" else ModuleSpec(name, None))
    assert reason() == "zentorch is not installed; install it with pip install 'attention-harness[zentorch]'"


def test_it_runs_beside_the_pytorch_that_it_is_made_for(installed):
    installed(VERSIONS)
    assert reason() == ""


def test_another_pytorch_is_a_reason(installed):
    installed({**VERSIONS, "torch": "2.14.1"})
    assert reason() == "zentorch 2.13.0.2 is made for torch 2.13, and torch 2.14.1 is installed"


def test_a_weekly_build_is_tried(installed):
    installed({"zentorch-weekly": "2.14.1.dev0", "torch": "2.14.1"})
    assert reason() == ""


def test_a_processor_on_which_pytorch_s_kernel_would_run_is_a_reason(installed):
    installed(VERSIONS, flags=("avx2", "avx512f"))
    assert "AVX512-BF16" in reason()


@pytest.mark.parametrize(("version", "said"), [("1.29.0", "ONNX Runtime 1.29.0"), ("1.30.0", ""), ("1.100.0", "")])
def test_an_onnx_runtime_that_is_always_causal_is_a_reason(installed, version, said):
    installed({"onnxruntime": version})
    assert said in reason("onnxruntime-gqa")
    assert bool(reason("onnxruntime-gqa")) == bool(said)


def test_an_onnx_runtime_of_another_name_is_tried(installed):
    installed({"onnxruntime-gpu": "1.32.0"})
    assert reason("onnxruntime-gqa") == ""
