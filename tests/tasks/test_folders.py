"""What is read of the folder of a training or a search: what was written there, or a sentence."""

import json

import pytest

from harness.errors import UserError
from harness.plugins.origin import Origin
from harness.tasks.catalogue import task
from harness.tasks.curves import Point, append
from harness.tasks.exploring.folder import ExploreFolder
from harness.tasks.exploring.search import Search
from harness.tasks.exploring.space import Space
from harness.tasks.plan import Notes, Result, TaskFolder, Training

RECIPE = task("text-classification").recipe_for("glosses")
TRAINING = Training("numpy", RECIPE, "numpy", "numpy", Origin("built-in", "attention.numpy"))
NOTES = Notes({"train": 10, "test": 2}, "ab", {"most frequent label": {"accuracy": 0.5}})


@pytest.fixture
def trained(tmp_path):
    folder = TaskFolder.create(tmp_path / "trained", [TRAINING], NOTES)
    append(folder.path, "numpy", [Point(1, "train", 0.5, 0.25, 1.0), Point(2, "train", float("nan"), 0.5, 2.0)])
    folder.add_result(Result("numpy", {"accuracy": 0.5, "loss": float("inf")}, parameters=3))
    return folder


def changed(path, change):
    """One line of a file, or all of it, with a change and without its checksum."""
    data = json.loads(path.read_text().splitlines()[0] if path.suffix == ".jsonl" else path.read_text())
    data.pop("crc32", None)
    change(data)
    path.write_text(json.dumps(data) + "\n")


def test_what_was_written_is_read(trained):
    found = TaskFolder.open(trained.path)
    assert found.trainings == (TRAINING,) and found.notes == NOTES
    first, second = found.curves()["numpy"]
    assert first == Point(1, "train", 0.5, 0.25, 1.0) and second.step == 2 and second.loss != second.loss
    assert found.results()["numpy"].scores == {"accuracy": 0.5, "loss": float("inf")}


NO_NOTES = [
    ("parts", []), ("parts", {"train": "x"}), ("parts", {"train": 10**400}), ("baselines", True),
    ("baselines", {"x": {"accuracy": {}}}), ("other", 3),
]  # fmt: skip


@pytest.mark.parametrize("name, value", NO_NOTES)
def test_notes_of_another_type_are_refused(trained, name, value):
    changed(trained.path / "plan.json", lambda plan: plan.update({name: value}))
    with pytest.raises(UserError, match="is not a plan of trainings of this version"):
        TaskFolder.open(trained.path)


@pytest.mark.parametrize("name, value", [("name", []), ("part", None), ("step", {}), ("loss", 10**400), ("loss", [])])
def test_a_point_of_another_type_counts_nothing(trained, name, value):
    changed(trained.path / "curves.jsonl", lambda point: point.update({name: value}))
    assert TaskFolder.open(trained.path).curves() == {}


@pytest.mark.parametrize(
    "name, value", [("peak_memory_bytes", []), ("scores", 3), ("scores", {"accuracy": {}}), ("failed", 1)]
)
def test_a_result_of_another_type_is_made_again(trained, name, value):
    changed(trained.path / "finished.jsonl", lambda result: result.update({name: value}))
    assert TaskFolder.open(trained.path).results() == {}


@pytest.fixture
def searched(tmp_path):
    space = Space(RECIPE, {"layers": [1, 2]}, 2)
    return ExploreFolder.create(tmp_path / "searched", TRAINING, space, "grid")


@pytest.mark.parametrize("name, value", [("seeds", None), ("seeds", 0), ("sampler", None), ("halving", "x"), ("values", 3)])
def test_a_search_of_another_type_is_refused(searched, name, value):
    changed(searched.path / "space.json", lambda space: space.update({name: value}))
    with pytest.raises(UserError, match=r"space\.json is not of this version"):
        ExploreFolder.open(searched.path)


def _with_a_trial(folder):
    study = Search(folder).study
    study.add_trial(_trial())
    return folder.path / "trials.log"


def _trial(value=0.5, layers=1):
    import optuna

    kind = optuna.distributions.CategoricalDistribution((1, 2, 3))
    return optuna.trial.create_trial(value=value, params={"layers": layers}, distributions={"layers": kind})


def test_a_search_finds_its_trials_again(searched):
    _with_a_trial(searched)
    assert [one.params for one in Search(searched).study.trials] == [{"layers": 1}]


@pytest.mark.parametrize("text", ["[]\n", "[" * 5000 + "\n", '{"op_code": ""}\n', "3\n", '{"op_code": 4}\n'])
def test_a_damaged_journal_of_trials_is_named(searched, text):
    journal = _with_a_trial(searched)
    journal.write_text(text + journal.read_text())
    with pytest.raises(UserError, match=r"trials\.log is damaged"):
        Search(searched)


def test_a_trial_with_a_value_that_is_not_explored_is_named(searched):
    Search(searched).study.add_trial(_trial(layers=3))
    with pytest.raises(UserError, match="trial 0 is none of this search"):
        Search(searched)


def test_a_device_is_no_journal(searched):
    (searched.path / "trials.log").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot use .*it is no ordinary file"):
        Search(searched)
