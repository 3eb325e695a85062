"""What a search tries, in which order, and what it ends: trainings are played by a launcher."""

import itertools
import time
from typing import ClassVar

import pytest

from harness.tasks.catalogue import task
from harness.tasks.curves import Point
from harness.tasks.exploring.folder import GRID, TPE, ExploreFolder
from harness.tasks.exploring.report import recipes, trials
from harness.tasks.exploring.search import Search
from harness.tasks.exploring.space import Space
from harness.tasks.messages import Finish, Finished, Opened, Trained
from harness.tasks.plan import Training
from harness.workers.messages import Ready

RATES = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008]
LOOKS = 4


class Played:
    """A training whose accuracy grows with its learning rate, and a little with its seed."""

    started: ClassVar[list[tuple[float, int]]] = []

    def __init__(self, start, environment, timeout_s):
        recipe = start.arguments[0]
        self.accuracy = 100 * recipe["learning_rate"] + recipe["seed"] / 1000
        self.looks = 0
        type(self).started.append((recipe["learning_rate"], recipe["seed"]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait_until_ready(self):
        return Ready(Opened(7, {}, 0, 0.0))

    def ask(self, request, timeout_s):
        if isinstance(request, Finish):
            return Finished({"accuracy": self.accuracy}, {}, 2**20)
        self.looks += 1
        point = Point(self.looks, "validation", 1 / self.looks, self.accuracy * self.looks / LOOKS, float(self.looks))
        return Trained((point,), self.looks == LOOKS)


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """The learning rates and seeds of trainings, as they begin."""
    monkeypatch.setattr(Played, "started", [])
    return Played.started


@pytest.fixture
def clock(monkeypatch):
    """A second passes whenever somebody looks at the time."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))


def searched(path, seeds, seconds=1e6, told=lambda trial: None, **how):
    """One session of a search in a folder."""
    space = Space(task("listops").recipe_for("made"), {"learning_rate": RATES}, seeds)
    training = Training("numpy", space.recipe, "numpy", "numpy")
    if (path / "space.json").exists():
        folder = ExploreFolder.open(path)
    else:
        folder = ExploreFolder.create(path, training, space, how.get("sampler", GRID), how.get("halving", True))
    search = Search(folder)
    search.run(training, 1, time.monotonic() + seconds, told, Played)
    return trials(search.study)


def seeds_of(found, state):
    """By learning rate."""
    return found[found.state == state].groupby("learning_rate").seed.agg(sorted).to_dict()


def test_what_comes_to_its_end_has_every_seed_and_what_is_ended_has_one(tmp_path):
    found = searched(tmp_path / "out", 3)
    complete, pruned = seeds_of(found, "complete"), seeds_of(found, "pruned")
    assert set(complete) | set(pruned) == set(RATES) and not set(complete) & set(pruned)
    assert len(complete) >= 4 and max(RATES) in complete and pruned
    assert set(map(tuple, complete.values())) == {(0, 1, 2)} and set(map(tuple, pruned.values())) == {(0,)}


def test_the_best_have_their_other_seeds_first(tmp_path, started):
    searched(tmp_path / "out", 2)
    others = [rate for rate, seed in started if seed == 1]
    assert others == sorted(others, reverse=True)
    assert [seed for _, seed in started] == sorted(seed for _, seed in started), "every recipe once before any twice"


def test_everything_comes_to_its_end_where_nothing_is_to_be_ended(tmp_path):
    found = searched(tmp_path / "out", 2, halving=False)
    assert seeds_of(found, "complete") == {rate: [0, 1] for rate in RATES}


def test_a_search_that_was_stopped_goes_on_with_what_is_left(tmp_path, started):
    def stop(trial):
        if trial.number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "out", 2, told=stop, halving=False)
    assert len(started) == 5
    searched(tmp_path / "out", 2)
    assert sorted(started) == sorted((rate, seed) for rate in RATES for seed in (0, 1))


def test_what_time_ended_is_tried_again(tmp_path, clock, started):
    first = searched(tmp_path / "out", 1, seconds=15, halving=False)
    ended = first[first.reason == "the time was over"]
    assert len(ended) == 1 and len(first) < len(RATES)
    last = searched(tmp_path / "out", 1)
    assert seeds_of(last, "complete") == {rate: [0] for rate in RATES}
    assert started.count((ended.learning_rate.iloc[0], 0)) == 2


def test_a_sampler_leaves_a_third_of_the_time_to_other_seeds(tmp_path, clock, started):
    found = searched(tmp_path / "out", 3, seconds=400, sampler=TPE, halving=False)
    firsts = [seed == 0 for _, seed in started]
    assert 0.5 < sum(firsts) / len(firsts) < 0.8
    assert not any(firsts[sum(firsts) :]), "first the search, then the other seeds"
    counted = recipes(ExploreFolder.open(tmp_path / "out"), found)
    assert found.duplicated(["learning_rate", "seed"]).any() and counted.seeds.max() <= 3, "one training is no two seeds"


def test_a_grid_has_the_combinations_that_are_recipes_only(tmp_path):
    recipe = task("listops").recipe_for("made")
    space = Space(recipe, {"heads": [1, 3, 4], "width": [64, 96]})
    assert [(one["heads"], one["width"]) for one in space.fitting()] == [(1, 64), (1, 96), (3, 96), (4, 64), (4, 96)]
