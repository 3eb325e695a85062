"""Training through the command line, on texts made on the spot: curves, resuming, predicting, looking."""

import csv
import json
import random
import resource
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from tests.system.conftest import ROOT, Harness

SMALL = ("--width", "16", "--heads", "2", "--layers", "1", "--batch", "32", "--longest", "24")


@pytest.fixture
def harness(tmp_path):
    return Harness(tmp_path)


@pytest.fixture
def texts(harness):
    """Sentences whose label is whether "up" comes before "down": it is the order that tells."""
    draw, path = random.Random(0), harness.folder / "mine.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for _ in range(3000):
            words = draw.choices(["left", "right", "over", "under", "round"], k=draw.randint(4, 9))
            pair = draw.sample(["up", "down"], 2)
            first, second = sorted(draw.sample(range(len(words) + 1), 2))
            words[first:first], words[second + 1 : second + 1] = [pair[0]], [pair[1]]
            rows.writerow([" ".join(words), pair[0]])
    return path.name


def test_every_correct_kernel_learns_along_the_same_curve(harness, texts):
    """A hundred steps; what rounding explains is measured; a wrong kernel is told apart by its curve."""
    done = harness(
        "task", "text-classification", "--data", texts, *SMALL, "--steps", "250", "--out", "out",
        "--plugin", ROOT / "docs" / "wrong_axis.py", "--impl", "torch-sdpa,numba-flash,numpy,jax,wrong-axis",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(harness.folder / "out" / "results.csv").set_index("name")
    assert (table.loc[["numba-flash", "numpy", "jax"], "apart_roundings"] <= 16).all(), table.apart_roundings
    assert table.loc["wrong-axis", "apart_roundings"] > 1000
    report = (harness.folder / "out" / "report.md").read_text()
    assert "harness check --impl wrong-axis" in report and "TF-IDF" in report
    assert (harness.folder / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    curves = [json.loads(line) for line in (harness.folder / "out" / "curves.jsonl").read_text().splitlines()]
    assert sum(one["part"] == "train" and one["name"] == "numba-flash" and one["step"] <= 100 for one in curves) == 100


def _journal(curves):
    return [json.loads(line) for line in curves.read_text().splitlines()] if curves.exists() else []


def _wait(process, happened):
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_killed_training_goes_on_as_if_nothing_had_been(harness, texts):
    """Ended by Ctrl-C, then by a kill of the parent, and gone on with: the same curve to the last bit."""
    command = ("task", "text-classification", "--data", texts, *SMALL, "--steps", "1500", "--learning-rate", "0.01")
    whole = harness(*command, "--out", "whole")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    curves, state = harness.folder / "killed" / "curves.jsonl", harness.folder / "killed" / "torch-sdpa" / "state.pt"
    process = harness.start(*command, "--out", "killed")
    _wait(process, state.exists)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume killed" in out
    before = _journal(curves)
    process = harness.start("task", "--resume", "killed")
    _wait(process, lambda: len(_journal(curves)) > len(before))
    process.kill()
    process.communicate(timeout=60)
    assert 1 < _journal(curves)[len(before)]["step"] <= before[-1]["step"] + 1  # It went on from the state.
    again = harness("task", "--resume", "killed")
    assert again.returncode == 0, again.stdout + again.stderr

    def losses(folder):
        return {(one["step"], one["part"]): one["loss"] for one in _journal(harness.folder / folder / "curves.jsonl")}

    assert losses("killed") == losses("whole")
    table = pd.read_csv(harness.folder / "whole" / "results.csv").set_index("name")
    assert table.accuracy["torch-sdpa"] > 0.97 > 0.7 > table.accuracy["most frequent label"]

    said = harness("task", "text-classification", "--from", "whole", "--predict", "left up over right down")
    assert said.returncode == 0 and said.stdout.split()[1] == "up", said.stdout + said.stderr
    said = harness("task", "text-classification", "--from", "whole", "--show", "left down <over> right up")
    page = (harness.folder / "attention.html").read_text()
    assert said.returncode == 0 and "&lt;" in page and page.count("<caption>head") == 2
    again = harness("task", "text-classification", "--from", "whole", "--show", "other")
    assert again.returncode == 2 and "will not be overwritten" in again.stderr


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_recurrent_models_are_trained_beside(harness, texts, model):
    done = harness("task", "text-classification", "--data", texts, *SMALL, "--steps", "9", "--model", model, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_csv(harness.folder / "out" / "results.csv").name[0] == model


def test_keras_trains_beside_torch_goes_on_and_predicts(harness, texts):
    """Both frameworks with two seeds in one run, killed while Keras trains: its curve is the one of a run that was not."""
    pytest.importorskip("tensorflow")
    command = ("task", "text-classification", "--data", texts, *SMALL, "--learning-rate", "0.01", "--steps", "240")
    whole = harness(*command, "--framework", "keras", "--out", "whole")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    process = harness.start(*command, "--framework", "keras,torch", "--seeds", "2", "--out", "out")
    _wait(process, (harness.folder / "out" / "keras" / "state.npz").exists)
    process.kill()
    process.communicate(timeout=60)
    before = len(_journal(harness.folder / "out" / "curves.jsonl"))
    done = harness("task", "--resume", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(harness.folder / "out" / "results.csv")
    assert (table[table.status == "ok"].accuracy > 0.95).all()
    assert table[table.status == "ok"].groupby("name").seed.apply(list).to_dict() == {"keras": [0, 1], "torch-sdpa": [0, 1]}
    report = (harness.folder / "out" / "report.md").read_text()
    assert "±" in report and "keras and torch-sdpa" in report
    keras = [
        {(one["step"], one["part"]): one["loss"] for one in _journal(harness.folder / folder / "curves.jsonl")
         if one["name"] == "keras"}
        for folder in ("whole", "out")
    ]  # fmt: skip
    assert keras[0] == keras[1]
    assert _journal(harness.folder / "out" / "curves.jsonl")[before]["step"] > 1  # It went on from the state.
    said = harness("task", "text-classification", "--from", "out", "--predict", "left up over right down")
    assert said.returncode == 0 and said.stdout.split()[1] == "up", said.stdout + said.stderr


def test_keras_takes_the_steps_that_torch_takes():
    """From the same weights, on the same batches, without dropout. Keras has learning rates in float32, which leaves 1e-4.

    Each of six changes on one side gave 5e-4 or more: AdamW's epsilon, gradients of repeated tokens that are squared one by
    one, clipping, learning rates, the epsilon of normalisation, which weights decay."""
    pytest.importorskip("tensorflow")
    command = [sys.executable, "-m", "tests.tasks.keras_beside_torch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    losses = json.loads(done.stdout)
    assert losses["keras"] == pytest.approx(losses["torch"], abs=2e-4)
    assert max(losses["torch"]) - min(losses["torch"]) > 0.1


def test_two_layers_recall_and_one_does_not(harness):
    """Sanford et al. 2024: one layer of attention cannot do it. Arora et al. 2024: two can."""
    accuracies = []
    for layers, steps in ((2, 800), (1, 300)):
        done = harness("task", "recall", "--impl", "numba-flash", "--layers", layers, "--steps", steps, "--longest", "16",
                       "--out", f"out-{layers}")  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        accuracies.append(pd.read_csv(harness.folder / f"out-{layers}" / "results.csv").accuracy[0])
    assert accuracies[0] > 0.99 and accuracies[1] < 0.5, accuracies


def test_parameters_are_chosen_by_experiment(harness, texts):
    command = (
        "explore",
        "--task",
        "text-classification",
        "--data",
        texts,
        "--width",
        "16",
        "--batch",
        "32",
        "--longest",
        "24",
    )
    done = harness(*command, "--layers", "1,2", "--heads", "2", "--seeds", "2", "--steps", "30", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = pd.read_csv(harness.folder / "out" / "results.csv")
    assert len(trials.drop_duplicates(["layers", "seed"])) == 4
    report = (harness.folder / "out" / "report.md").read_text()
    assert "The best of" in report and "layers" in report
    for picture in ("front.png", "parallel-coordinates.png"):
        assert (harness.folder / "out" / picture).read_bytes().startswith(b"\x89PNG")
    again = harness("explore", "--resume", "out")
    assert again.returncode == 0 and len(pd.read_csv(harness.folder / "out" / "results.csv")) == len(trials)


def test_recall_is_compared_over_length(harness):
    done = harness(
        "explore", "--task", "recall", "--model", "transformer,gru", "--longest", "12,14", "--learning-rate", "0.001,0.01",
        "--width", "16", "--steps", "12", "--no-halving", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    trials = pd.read_csv(harness.folder / "out" / "results.csv")
    assert len(trials) == 8 and set(trials.state) == {"complete"} and trials.test.notna().all()
    report = (harness.folder / "out" / "report.md").read_text()
    assert "| tokens" in report and "Guessing among the values of a sequence has 0.250" in report
    assert (harness.folder / "out" / "accuracy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["text-clasification"], "text-classification"),
        ([], "which task?"),
        (["sentiment", "--impl", "nunpy"], "numpy"),
        (["sentiment", "--data", "none.csv"], "cannot read none.csv"),
        (["sentiment", "--model", "rnn"], "lstm"),
        (["translation", "--data", "made", "--model", "lstm"], "for a transformer"),
        (["listops", "--heads", "3"], "do not share"),
        (["listops", "--impl", "onnxruntime"], "cannot be trained with"),
        (["sentiment", "--predict", "x"], "no run of sentiment"),
        (["--resume", "none"], "holds no trainings"),
        (["recall", "--longest", "4"], "needs sequences"),
        (["recall", "--vocabulary", "8"], "need a vocabulary"),
        (["recall", "--data", "zoo"], "zoology"),
        (["listops", "--framework", "torch,jax"], "--framework takes"),
        (["listops", "--steps", "0"], "steps"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(harness, arguments, said):
    done = harness("task", *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert not (harness.folder / "runs").exists()


@pytest.mark.parametrize(
    "rows, said",
    [
        ([{"words": "a b", "label": "x"}], "has no column text or source"),
        ([{"text": "a b", "kind": "x"}], "has no column label or target"),
        ([{"text": "", "label": "x"}, {"text": " ", "label": "y"}], "an empty text or label"),
        ([{"text": f"word {n}", "label": "x"} for n in range(50)], "there must be two"),
        ([{"text": f"word {n}", "label": "xyz"[n % 2 + (n == 49)], "part": "train"} for n in range(50)]
         + [{"text": "a", "label": "x", "part": part} for part in ("validation", "test")], "one text only"),
        ([{"text": f"word {n}", "label": "xy"[n % 2], "part": "train"} for n in range(50)]
         + [{"text": "a", "label": "z", "part": part} for part in ("validation", "test")], "nothing to train on"),
        ([{"text": f"word {n}", "label": "xy"[n % 2], "part": "train"} for n in range(50)], "nothing to validate with"),
        ([{"text": "a b", "label": "x", "part": "dev"}], "a part 'dev'"),
        ([[1, 2]], "needs an object a line"),
    ],
)  # fmt: skip
def test_a_file_that_teaches_nothing_is_refused(harness, rows, said):
    harness.write("mine.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    done = harness("task", "text-classification", "--data", "mine.jsonl")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert not (harness.folder / "runs").exists()


def test_texts_without_a_word_and_longer_than_the_model_are_trained_on(harness):
    """Marks alone; some texts of thousands of tokens. For so many seconds, not steps."""
    rows = [{"text": "!?"[n % 2] * (1 + n if n % 50 else 5000), "label": "xy"[n % 2]} for n in range(300)]
    harness.write("mine.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    done = harness("task", "text-classification", "--data", "mine.jsonl", *SMALL, "--minutes", "0.02", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(harness.folder / "out" / "results.csv").set_index("name")
    assert table.steps["torch-sdpa"] >= 1 and "TF-IDF and logistic regression" not in table.index


def test_a_loss_that_is_no_number_ends_it_in_a_sentence(harness, texts):
    done = harness("task", "text-classification", "--data", texts, *SMALL, "--learning-rate", "1e38", "--out", "out")
    assert done.returncode == 2 and "a lower --learning-rate may help" in done.stderr, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_and_a_damaged_state_lose_nothing(harness, texts):
    """No file may be larger than 200 kB, as on a full disk: the state is; what is there goes on once there is room."""
    command = ("task", "text-classification", "--data", texts, *SMALL[2:], "--width", "64", "--steps", "150", "--out", "out")
    full = harness.start(*command, limits={resource.RLIMIT_FSIZE: 200_000})
    out, err = full.communicate(timeout=100)
    assert full.returncode == 2 and "cannot write" in err and err.count("\n") == 1, out + err
    state = harness.folder / "out" / "torch-sdpa" / "state.pt"
    assert not state.exists()
    state.write_bytes(b"half a state")
    damaged = harness("task", "--resume", "out")
    assert damaged.returncode == 2 and "state.pt cannot be read" in damaged.stderr, damaged.stdout + damaged.stderr
    assert damaged.stderr.count("\n") == 1
    state.unlink()
    again = harness("task", "--resume", "out")
    assert again.returncode == 0, again.stdout + again.stderr
    steps = {one["step"] for one in _journal(harness.folder / "out" / "curves.jsonl") if one["part"] == "train"}
    assert steps == set(range(1, 151))
