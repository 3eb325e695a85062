"""`harness check --layer FILE:CLASS`: somebody's layer of PyTorch or Keras, with nothing but its class."""

import importlib.util
import re
import subprocess
import sys

import pytest

from tests.system.conftest import PLUGINS, ROOT

PROBLEM = """
[tiny]
operator = "multi-head"
effort = { rounds = 2, min_rounds = 2, turn_s = 0.004, sample_s = 0.001, warmup_s = 0.004, cell_s = 0.02, budget_s = 5.0 }
problems = [{ heads = 2, length = 4, width = 8, biases = true, direction = "backward" }]
"""


def needs(framework):
    return pytest.mark.skipif(importlib.util.find_spec(framework) is None, reason=f"{framework} is not installed")


TORCH = "torch_layers.py", needs("torch")
KERAS = "keras_layers.py", needs("keras")


@pytest.fixture
def check(harness):
    """`harness check --layer` of a class in one of the two files."""
    return lambda file, layer, *arguments: harness("check", "--quiet", "--layer", f"{PLUGINS / file}:{layer}", *arguments)


def passed(printed):
    """By chapter, how many cases passed and whether the others are all unsupported."""
    lines = re.findall(r"^(\w+) +(ok|unsupported|FAILED) +(\d+) passed", printed, re.MULTILINE)
    return {chapter: int(count) for chapter, state, count in lines if state == "ok"}


RIGHT = {
    "packed": (
        *TORCH,
        "Attention",
        {"values", "shapes", "biases", "masks", "composition", "calls", "gradients", "properties"},
    ),
    "raw-matrices": (*TORCH, "CrossAttention", {"values", "shapes", "cross", "calls", "gradients", "properties"}),
    "typed": (
        *TORCH,
        "Wrapped(size=width, parts=heads)",
        {"values", "shapes", "biases", "calls", "gradients", "properties"},
    ),
    "keras": (*KERAS, "SelfAttention", {"values", "shapes", "biases", "calls", "gradients", "properties"}),
}


@pytest.mark.parametrize(
    "file, layer, chapters", [pytest.param(f, l, c, marks=m, id=name) for name, (f, m, l, c) in RIGHT.items()]
)
def test_a_right_layer_passes_in_every_chapter_that_its_signature_supports(check, file, layer, chapters):
    done = check(file, layer)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {*passed(done.stdout)} == chapters
    assert passed(done.stdout)["gradients"] >= 2 and passed(done.stdout)["calls"] >= 9


WRONG = {
    "torch": (*TORCH, "NoScale", {"values/float32": "It equals the formula without the scale."}),
    "keras": (*KERAS, "ScaledTwice", dict.fromkeys(("values/float32", "gradients/plain"), "with the scale 1/head_dim")),
    "article": (*KERAS, "Article(width, heads, width)", {
        "values/float32": "out has the shape (18, 32)",
        "cross/longer": "must have compatible batch dimensions",
        "masks/padding": "expected to be a float tensor but is a bool tensor",
    }),
    "article-in-shape": (*KERAS, "InShape(width, heads, width)", {"values/float32": " from the oracle, bound "}),
    "keras-own": (*KERAS, "Theirs", {"masks/empty-rows-plain": "rows that have nothing to attend to as the mean"}),
}  # fmt: skip


@pytest.mark.parametrize(
    "file, layer, cases", [pytest.param(f, l, c, marks=m, id=name) for name, (f, m, l, c) in WRONG.items()]
)
def test_a_wrong_layer_is_rejected_and_its_mistake_named(harness, file, layer, cases):
    chosen = [word for case in cases for word in ("--case", case)]
    done = harness("check", "--layer", f"{PLUGINS / file}:{layer}", *chosen)
    assert done.returncode == 1, done.stdout + done.stderr
    for case, words in cases.items():
        assert words in done.stdout.partition(f"  {case}, ")[2].partition("repeat: ")[0]


@needs("torch")
def test_the_command_that_is_told_shows_the_failure_again(check, harness):
    done = check("torch_layers.py", "NoScale(dim=width, n_heads=heads)", "--case", "values/float32")
    command = re.search(r"repeat: python -m harness (.*)$", done.stdout, re.MULTILINE)[1]
    again = subprocess.run(
        f"{sys.executable} -m harness {command}", shell=True, cwd=harness.folder, env=harness.environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 1 and "0 passed, 1 incorrect" in again.stdout


@needs("keras")
def test_projections_that_are_never_called_are_told_before_anything_else(check):
    done = check("keras_layers.py", "Article(width, heads, width)", "--case", "gradients/plain")
    assert "Wq, Wk, Wv: made and never called, so the projection is not applied" in done.stdout.partition("\n")[0]
    assert "gradients/plain, " in done.stdout


@needs("torch")
def test_a_layer_that_is_always_causal_is_given_causal_problems_only(check):
    done = check("torch_layers.py", "Causal", "--case", "values", "--case", "masks", "--case", "gradients")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is causal, whatever it is given" in done.stdout.partition("\n")[0]
    assert {*passed(done.stdout)} == {"masks", "gradients"}


@needs("torch")
def test_what_it_takes_is_told_first(check):
    done = check("torch_layers.py", "CrossAttention", "--case", "values/float32", "--case", "masks/padding")
    assert done.stdout.splitlines()[0] == (
        "CrossAttention called with (query, key, value), where W^Q is W_query, W^K is W_key, W^V is W_value, W^O is W_out."
    )
    assert "1 passed, 1 unsupported" in done.stdout


UNCLEAR = {
    "construction": (*TORCH, "Wrapped", ["argument size", '"torch_layers.py:Wrapped(size=width, parts=heads)"']),
    "sizes": (*KERAS, "Article", ["argument d_kv", '"keras_layers.py:Article(d_model=width, num_heads=heads, d_kv=width)"']),
    "a-name": (*TORCH, "Wrapped(width, head)", ["names head; known are width, heads, kv_heads"]),
    "no-call": (*TORCH, "Wrapped(width,,)", ['"Wrapped(width,,)" is no call']),
    "weights": (*TORCH, "NoOutput", ["W^Q, W^K, W^V, W^O", "third.weight (12, 12)", "q_proj, k_proj, v_proj and out_proj"]),
    "no-such-class": (*TORCH, "Attentoin", ["Did you mean Attention"]),
    "no-layer": (*TORCH, "NoLayer", ["must derive from torch.nn.Module or keras.layers.Layer"]),
    "raises": (*TORCH, "Raises", ["with x of the shape (2, 5, 12) and 3 heads", "today is not a day for sums"]),
    "no-class": (*TORCH, "", ["does not say where a layer is; write my_file.py:MyLayer"]),
}


@pytest.mark.parametrize(
    "file, layer, words", [pytest.param(f, l, w, marks=m, id=name) for name, (f, m, l, w) in UNCLEAR.items()]
)
def test_what_is_not_clear_is_one_sentence_that_says_what_to_type(check, file, layer, words):
    done = check(file, layer)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("harness: ") and done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == []


def test_a_file_that_does_not_exist_is_named(harness):
    done = harness("check", "--layer", "nowhere.py:Layer")
    assert done.returncode == 2 and "nowhere.py does not exist; --layer takes" in done.stderr


def test_an_implementation_and_a_layer_are_not_checked_at_once(harness):
    done = harness("check", "--layer", "some.py:Layer", "--impl", "numpy")
    assert done.returncode == 2 and "not allowed with argument" in done.stderr


@needs("torch")
def test_it_is_measured_beside_others_and_a_run_goes_on(harness):
    problems = harness.write("tiny.toml", PROBLEM)
    layer = PLUGINS / "torch_layers.py"
    given = ("--plugin", f"{layer}:Attention", "--impl", "Attention,numpy", "--problems", problems)
    done = harness("run", *given, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = harness.results("out")
    assert {*table.implementation} == {"Attention", "numpy"} and (table.status == "ok").all() and (table.median_s > 0).all()
    assert harness("run", "--resume", "out").returncode == 0


@needs("torch")
def test_no_framework_is_imported_where_commands_run():
    layer = f"{PLUGINS / 'torch_layers.py'}:Attention"
    program = (
        "import sys; from harness.plugins.registry import discover; "
        f"one = discover([{layer!r}]).of('multi-head').implementations['Attention']; "
        "assert one.framework == 'torch', one; assert not {'torch', 'keras', 'tensorflow'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
