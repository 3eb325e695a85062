"""Training through the command line, on texts made on the spot: curves, resuming, predicting, looking."""

import csv
import json
import random
import signal
import time

import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from tests.system.conftest import Harness

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


WRONG = '''
from harness.registry import Differentiable, Supports, implementation
import torch

@implementation("wrong-axis", framework="torch", supports=Supports(mask=True, gradients=True))
def wrong_axis(problem):
    """Softmax over the queries."""
    def attention(q, k, v, mask=None):
        s = problem.scale * q @ k.transpose(-1, -2)
        s = s if mask is None else s.masked_fill(~mask, -1e9)
        return s.softmax(-2) @ v
    return attention
'''


def test_every_correct_kernel_learns_along_the_same_curve(harness, texts):
    """A hundred steps; what rounding explains is measured; a wrong kernel is told apart by its curve."""
    plugin = harness.write("wrong.py", WRONG)
    done = harness(
        "task", "text-classification", "--data", texts, *SMALL, "--steps", "250", "--out", "out", "--plugin", plugin,
        "--impl", "torch-sdpa,numba-flash,numpy,jax,wrong-axis",
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


def test_a_killed_training_goes_on_as_if_nothing_had_been(harness, texts):
    command = ("task", "text-classification", "--data", texts, *SMALL, "--steps", "400", "--learning-rate", "0.01")
    whole = harness(*command, "--out", "whole")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    process = harness.start(*command, "--out", "killed")
    curves = harness.folder / "killed" / "curves.jsonl"
    while not curves.exists() or len(curves.read_text().splitlines()) < 20:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume killed" in out
    again = harness("task", "--resume", "killed")
    assert again.returncode == 0, again.stdout + again.stderr

    def losses(folder):
        read = [json.loads(line) for line in (harness.folder / folder / "curves.jsonl").read_text().splitlines()]
        return {(one["step"], one["part"]): one["loss"] for one in read}

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
    done = harness("task", "text-classification", "--data", texts, *SMALL, "--steps", "5", "--model", model, "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_csv(harness.folder / "out" / "results.csv").name[0] == model


def test_keras_trains_saves_loads_and_predicts(harness, texts):
    pytest.importorskip("tensorflow")
    command = ("task", "text-classification", "--data", texts, *SMALL, "--framework", "keras", "--learning-rate", "0.01")
    done = harness(*command, "--steps", "240", "--out", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_csv(harness.folder / "out" / "results.csv").set_index("name").accuracy["keras"] > 0.95
    said = harness("task", "text-classification", "--from", "out", "--predict", "left up over right down")
    assert said.returncode == 0 and said.stdout.split()[1] == "up", said.stdout + said.stderr


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
        (["listops", "--steps", "0"], "steps"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(harness, arguments, said):
    done = harness("task", *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stdout + done.stderr
    assert not (harness.folder / "runs").exists()
