"""A declaration that says what nobody knows is refused when it is made, in one sentence that says what to type."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.conformance.known_failures import check_known_failures
from harness.errors import UserError, describe
from harness.frameworks import ADAPTERS
from harness.registry import EVERYTHING, Implementation, Supports, implementation

ROOT = Path(__file__).parents[2]


def refused(declare):
    """The sentence that `declare()` is refused with."""
    with pytest.raises(UserError) as caught:
        declare()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


SUPPORTS = {
    "fp32": ({"dtypes": ("fp32",)}, ['"fp32"', "Did you mean float32?", 'dtypes=("float32",)']),
    "f32": ({"dtypes": ("f32",)}, ["Did you mean float32?"]),
    "half": ({"dtypes": ("half",)}, ["Did you mean float16?"]),
    "fp16": ({"dtypes": ("fp16",)}, ["Did you mean float16?"]),
    "bf16": ({"dtypes": ("bf16",)}, ["Did you mean bfloat16?"]),
    "double": ({"dtypes": ("double",)}, ["Did you mean float64?"]),
    "one-of-two": ({"dtypes": ("float64", "fp16")}, ['"fp16"', 'dtypes=("float64", "float16")']),
    "numpy-dtype": ({"dtypes": (np.float32,)}, ["Did you mean float32?"]),
    "dtype-object": ({"dtypes": (np.dtype("float32"),)}, ["Did you mean float32?"]),
    "a-string": ({"dtypes": "float32"}, ["tuple", '"float32"', 'dtypes=("float32",)']),
    "no-dtype": ({"dtypes": ()}, ["empty", 'dtypes=("float32",)']),
    "topleft": ({"causal": ("topleft",)}, ["Did you mean top-left?", 'causal=("top-left",)']),
    "top_left": ({"causal": ("top_left",)}, ["Did you mean top-left?"]),
    "causal-flag": ({"causal": True}, ["tuple", "True", "top-left, bottom-right"]),
    "causal-string": ({"causal": "bottom-right"}, ['causal=("bottom-right",)']),
    "mask-yes": ({"mask": "yes"}, ["True or False", '"yes"', "mask=True"]),
    "one": ({"gradients": 1}, ["gradients must be True or False, not 1"]),
    "because": ({"reasons": {"casual": "never"}}, ['"casual"', "Did you mean causal?"]),
    "because-nothing": ({"reasons": {"mask": ""}}, ["the reason"]),
    "because-a-list": ({"reasons": ["mask"]}, ["mapping"]),
    "also": ({"extra_check": "never"}, ["extra_check must be a function", '"never"']),
}


@pytest.mark.parametrize("fields, words", SUPPORTS.values(), ids=SUPPORTS)
def test_what_is_supported_is_said_in_known_words(fields, words):
    supports = Supports(**fields)
    for given in (supports, {"cpu": supports}):
        sentence = refused(lambda given=given: implementation("mine", supports=given))
        assert sentence.startswith("mine: ")
        assert [word for word in words if word not in sentence] == []


OPTIONS = {
    "framework": ({"framework": "pytorch"}, ['"pytorch"', "Did you mean torch?", 'framework="torch"', *ADAPTERS]),
    "framework-class": ({"framework": np}, ["Did you mean numpy?"]),
    "layout": ({"layout": "bshd"}, ["Did you mean BSHD?", "BHSD"]),
    "layout-in-other-letters": ({"layout": "BTHD"}, ["Did you mean BSHD?"]),
    "device": ({"devices": ("gpu",)}, ["Did you mean cuda?", 'devices=("cuda",)']),
    "device-string": ({"devices": "cpu"}, ['devices=("cpu",)']),
    "no-device": ({"devices": ()}, ["devices is empty"]),
    "needs": ({"unavailable_reason": "a GPU"}, ["unavailable_reason must be a function", '"a GPU"']),
    "library-call": ({"library_call": 3}, ["library_call must be a function"]),
    "fast-kernel": ({"fast_kernel": "("}, ["fast_kernel must be a regular expression", 'fast_kernel="flash"']),
    "fast-kernel-of-another-type": ({"fast_kernel": 3}, ["fast_kernel must be a regular expression, not 3"]),
    "slow-build": ({"slow_build": "no"}, ["slow_build must be True or False"]),
    "supports": ({"supports": ("float32",)}, ["supports must be a declaration", "Supports("]),
    "supports-for-no-device": ({"supports": {}}, ["supports says nothing of cpu"]),
    "supports-for-another": ({"supports": {"cpu": EVERYTHING, "gpu": EVERYTHING}}, ['"gpu"', "Supports(...)"]),
    "known_failures": ({"known_failures": ["logits/*"]}, ["known_failures must be a mapping"]),
    "known_failures-without-a-reason": ({"known_failures": {"logits/*": None}}, ['"logits/*"', "the reason"]),
    "tunable": ({"tunables": {"tile": 64}}, ['"tile"', "must be a tuple, not 64"]),
    "tunable-string": ({"tunables": {"tile": "64"}}, ['must be a tuple, not "64"']),
    "tunable-of-no-value": ({"tunables": {"tile": ()}}, ["must be a tuple"]),
    "tunables": ({"tunables": ("tile",)}, ["tunables must be a mapping"]),
    "wrong-on-purpose": ({"wrong_on_purpose": True}, ["wrong_on_purpose must be a sentence, not True", "the reason"]),
    "wrong-on-purpose-blank": ({"wrong_on_purpose": " "}, ["wrong_on_purpose must be a sentence"]),
}


@pytest.mark.parametrize("options, words", OPTIONS.values(), ids=OPTIONS)
def test_the_rest_of_a_declaration_is_said_in_known_words(options, words):
    sentence = refused(lambda: implementation("mine", **options))
    assert sentence.startswith("mine: ")
    assert [word for word in words if word not in sentence] == []
    assert refused(lambda: Implementation("mine", lambda problem: None, **options)) == sentence


def test_a_tunable_is_an_argument_of_the_factory():
    sentence = refused(lambda: implementation("mine", tunables={"tile": (32,)})(lambda problem, tiles=64: None))
    assert "Did you mean tiles?" in sentence and 'tunables={"tiles": ' in sentence
    declared = implementation("mine", tunables={"tile": (32, 64)})(lambda problem, **options: None)
    assert [one.name for one in declared.variants()] == ["mine[tile=32]", "mine[tile=64]"]


def test_the_decorator_wants_a_name_and_a_function():
    assert '@implementation("NAME")' in refused(lambda: implementation(print))
    assert '@implementation("mine")' in refused(lambda: implementation("mine")(3))


@pytest.mark.parametrize("reasons", [None, "too wide", True])
def test_further_reasons_are_a_list(reasons):
    from tests.unit.factories import PROBLEM

    assert "return []" in refused(lambda: Supports(extra_check=lambda problem: reasons).unsupported_reasons(PROBLEM))


def test_the_error_names_the_line_of_the_plug_in(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from harness.registry import *\n\n\nimplementation('mine', framework='pytorch')\n")
    with pytest.raises(UserError) as caught:
        exec(compile(path.read_text(), str(path), "exec"), {})
    assert describe(caught.value) == f"{caught.value} (mine.py, line 4)"


def test_knowing_the_frameworks_imports_none():
    code = (
        "import sys; from harness.registry import implementation; implementation('mine', framework='torch'); "
        "print([m for m in ('torch', 'jax', 'tensorflow', 'keras', 'onnxruntime', 'openvino', 'numba') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


# --- declared known_failures -----------------------------------------------------------------------------


def failing(*entries, devices=("cpu",)):
    return implementation("mine", devices=devices, known_failures=dict.fromkeys(entries, "a reason"))(lambda problem: None)


@pytest.mark.parametrize("entry", ["softcap/0.5", "logits/overflow-*", "cpu:arrays/transposed", "*/*-float32"])
def test_a_departure_may_name_cases_and_a_device(entry):
    check_known_failures(failing(entry))


@pytest.mark.parametrize(
    "entry, words",
    [
        ("softcap/5.0", ['"softcap/5.0"', "names no case", "Did you mean softcap/5"]),
        ("logits", ["Did you mean logits/*"]),
        ("logit/overflow-*", ["names no case", "logits/overflow-*"]),
        ("cuda:softcap/0.5", ["the device cuda", '"cpu:softcap/0.5"']),
        ("*", ["every case on cpu"]),
    ],
)
def test_a_known_failure_that_excuses_nothing_or_everything_is_refused(entry, words):
    sentence = refused(lambda: check_known_failures(failing(entry)))
    assert sentence.startswith("mine: ")
    assert [word for word in words if word not in sentence] == []
