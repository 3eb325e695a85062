"""`harness model`, and what models of transformers ask of an attention: causality, padding, caches, position bias."""

import json

import numpy as np
import pytest

pytest.importorskip("transformers")

TINY = """
[models]
operator = "model"
effort = {{ limits = false, memory = false, processes = 1, rounds = 2, min_rounds = 2, turn_s = 0.01, sample_s = 0.005, warmup_s = 0.02, cell_s = 0.05 }}
[[models.problems]]
model = [{models}]
batch = 3
length = 20
padding = "{padding}"
[[models.problems]]
model = [{generating}]
batch = 3
length = 20
padding = "{padding}"
generate = 6
[[models.problems]]
model = ["tiny-gpt2", "tiny-llama"]
batch = 3
length = {step}
past = 20
padding = "{padding}"
"""
IMPLEMENTATIONS = "eager,sdpa,numpy,numba-flash,torch-sdpa-flash,onnxruntime,jax-nn"


def problems(harness, padding, step=1):
    return harness.write(
        "models.toml",
        TINY.format(
            models='"tiny-bert"',
            generating='"tiny-gpt2", "tiny-llama", "tiny-t5"',
            padding=padding,
            step=step,
        ),
    )


@pytest.mark.parametrize("padding, step", [("left", 1), ("right", 3)])
def test_every_kernel_gives_the_logits_and_the_tokens_of_the_model(harness, padding, step):
    run = ("run", "--operator", "model", "--problems", problems(harness, padding, step), "--device", "cpu")
    done = harness(*run, "--impl", IMPLEMENTATIONS, "--baseline", "sdpa", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = harness.results("out")
    measured = table[table.status == "ok"]
    assert set(measured.implementation) >= {"eager", "sdpa", "numpy", "numba-flash"}, table.reason.to_list()
    assert set(table.status) <= {"ok", "unsupported", "unavailable"}
    assert (measured.error_over_bound <= 1).all()
    generated = measured[measured.generated.notna() & (measured.generated != "")]
    assert set(generated.model) == {"tiny-gpt2", "tiny-llama", "tiny-t5"}
    assert generated.differs_at.isna().all(), generated[["implementation", "problem", "differs_at", "differs_by"]]
    assert (measured.attention_s > 0).all() and (measured.attention_s < measured.median_s * 1.5).all()


def test_the_model_command_measures_beside_the_models_own_attention(harness):
    done = harness("model", "--model", "tiny-llama", "--impl", "numpy", "--length", "12", "--generate", "4", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = harness.results("out")
    assert {(name, problem.split("-b")[0]) for name, problem in table.index} == {
        (name, "tiny-llama") for name in ("eager", "sdpa", "numpy")
    }
    assert sorted(set(table.past)) == [0, 12], "whole sequences, and the step after them"
    assert "in attention" in done.stdout and "4 the same" in done.stdout
    report = (harness.folder / "out" / "report.md").read_text()
    assert "tokens/s" in report


def test_a_faulty_kernel_is_caught_by_the_logits(harness):
    plugin = harness.write(
        "faulty.py",
        '''
from harness.registry import implementation
import numpy as np

@implementation("softmax-over-queries", framework="numpy")
def softmax_over_queries(problem):
    """Softmax over the wrong axis."""
    def attention(q, k, v, mask=None, bias=None):
        s = problem.scale * q @ k.swapaxes(-1, -2)
        e = np.exp(s - s.max())
        return (e / e.sum(axis=-2, keepdims=True)) @ v
    return attention
''',
    )
    done = harness(
        "model", "--model", "tiny-bert", "--impl", "softmax-over-queries", "--plugin", plugin, "--length", "12", "--out", "out"
    )
    assert done.returncode == 1
    row = harness.results("out").loc["softmax-over-queries", "tiny-bert-b1l12-f32"]
    assert row.status == "incorrect" and row.error_over_bound > 1


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--model", "tiny-brt"], "tiny-bert"),
        (["--model", "empty"], "config.json"),
        (["--model", "tiny-gpt2", "--length", "5000"], "1024 positions"),
        (["--model", "tiny-bert", "--past", "8"], "no decoder"),
        (["--model", "strange"], "known are"),
        (["--model", "tiny-bert", "--impl", "nunpy"], "numpy"),
        (["--model", ","], "no model was named"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(harness, arguments, said):
    (harness.folder / "empty").mkdir()
    (harness.folder / "strange").mkdir()
    (harness.folder / "strange" / "config.json").write_text(
        json.dumps({"model_type": "mamba", "architectures": ["MambaForCausalLM"], "hidden_size": 8})
    )
    done = harness("model", "--impl", "numpy", *arguments, "--out", "out")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (harness.folder / "out").exists()


def test_a_model_run_is_resumed(harness):
    run = ("model", "--model", "tiny-bert", "--impl", "numpy", "--length", "12", "--out", "out")
    assert harness(*run).returncode == 0
    journal = harness.folder / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"numpy"' not in line))
    done = harness("run", "--resume", "out")
    assert done.returncode == 0, done.stderr
    assert np.isfinite(harness.results("out").median_s.astype(float)).all()
