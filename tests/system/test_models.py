"""`harness model`, and what models of transformers ask of an attention: causality, padding, caches, position bias."""

import json

import numpy as np
import pytest

pytest.importorskip("transformers")

PROBLEMS = """
[[models.problems]]
model = "tiny-bert"
batch = 3
length = 20
padding = "{padding}"
[[models.problems]]
model = ["tiny-gpt2", "tiny-llama", "tiny-t5"]
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
TINY = """
[models]
operator = "model"
[models.effort]
limits = false
memory = false
processes = 1
rounds = 2
min_rounds = 2
turn_s = 0.01
sample_s = 0.005
warmup_s = 0.02
cell_s = 0.05
""" + "".join(PROBLEMS.format(padding=side, step=step) for side, step in (("left", 1), ("right", 3)))


def test_every_kernel_gives_the_logits_and_the_tokens_of_the_model(harness):
    """Padding on either side; whole sequences, a step of one token after a past, and one of three."""
    names = "sdpa,numba-flash,jax-nn"
    run = ("run", "--operator", "model", "--problems", harness.write("models.toml", TINY), "--device", "cpu")
    done = harness(*run, "--impl", names, "--baseline", "sdpa", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = harness.results("out")
    measured = table[table.status == "ok"]
    assert set(measured.implementation) >= {"sdpa", "numba-flash"}, table.reason.to_list()
    assert set(measured.padding) == {"left", "right"}
    assert set(table.status) <= {"ok", "unsupported", "unavailable"}
    assert (measured.error_over_bound <= 1).all()
    generated = measured[measured.generated.notna() & (measured.generated != "")]
    assert set(generated.model) == {"tiny-gpt2", "tiny-llama", "tiny-t5"}
    assert generated.differs_at.isna().all(), generated[["implementation", "problem", "differs_at", "differs_by"]]
    assert measured.attention_share.between(0, 1, inclusive="neither").all()


FAULTY = '''
from harness.registry import Supports, implementation
import numpy as np

@implementation("softmax-over-queries", framework="numpy", supports=Supports(causal=("top-left", "bottom-right")))
def softmax_over_queries(problem):
    """Softmax over the wrong axis."""
    def attention(q, k, v, mask=None, bias=None):
        s = problem.scale * q @ k.swapaxes(-1, -2)
        e = np.tril(np.exp(s - s.max()), k=s.shape[-1] - s.shape[-2])
        return (e / e.sum(axis=-2, keepdims=True)) @ v
    return attention

@implementation("scale-off", framework="numpy", supports=Supports(causal=("top-left", "bottom-right")))
def scale_off(problem):
    """Right but for the scale, by a thousandth."""
    def attention(q, k, v, mask=None, bias=None):
        s = 1.001 * problem.scale * q @ k.swapaxes(-1, -2)
        e = np.tril(np.exp(s - s.max()), k=s.shape[-1] - s.shape[-2])
        return (e / e.sum(axis=-1, keepdims=True)) @ v
    return attention
'''


def test_the_model_command(harness):
    """Beside the model's own attention; a fault is caught by the logits; what a journal lacks is measured again."""
    plugin = harness.write("faulty.py", FAULTY)
    command = ("model", "--model", "tiny-gpt2", "--impl", "numpy,softmax-over-queries,scale-off", "--plugin", plugin)
    done = harness(*command, "--length", "12", "--generate", "4", "--processes", "1", "--out", "out")
    assert done.returncode == 1, done.stdout + done.stderr
    table = harness.results("out")
    assert {name for name, _ in table.index} == {"eager", "sdpa", "numpy", "softmax-over-queries", "scale-off"}
    assert sorted(set(table.past)) == [0, 12], "whole sequences, and the step after them"
    assert "attention" in done.stdout and "4 the same" in done.stdout
    assert "tokens/s" in (harness.folder / "out" / "report.md").read_text()
    for name in ("softmax-over-queries", "scale-off"):
        faulty = table.loc[name, "tiny-gpt2-b1l12-f32"]
        assert faulty.status == "incorrect" and faulty.error_over_bound > 1

    journal = harness.folder / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"numpy"' not in line))
    again = harness("run", "--resume", "out")
    assert again.returncode == 1 and not again.stderr, again.stderr
    row = harness.results("out").loc["numpy", "tiny-gpt2-b1l12-f32"]
    assert row.status == "ok" and row.generated == 4 and np.isnan(float(row.differs_at))


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--model", "tiny-brt"], "tiny-bert"),
        (["--model", "empty"], "config.json"),
        (["--model", "tiny-gpt2", "--length", "5000"], "1024 positions"),
        (["--model", "tiny-bert", "--past", "8"], "--past is for decoders"),
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
