"""Folders of trainings and of searches that were damaged, as those of runs are."""

import functools
import random
import shutil
from pathlib import Path

from harness.commands.task import missing
from tests.attacks import folders
from tests.attacks.kind import NotHereError, Scene, import_all, kept_scene, orderly

_TEXTS = "text,label\n" + "".join(
    f"{' '.join(random.Random(n).sample(['left', 'right', 'over', 'under', 'up', 'down'], 5))},{n % 2}\n" for n in range(300)
)
_SMALL = ("--data", "mine.csv", "--width", "16", "--batch", "32", "--longest", "24", "--layers", "1")
_FILES = {
    "trained": ("plan.json", "plan.json", "finished.jsonl", "curves.jsonl", "environment.json"),
    "searched": ("space.json", "space.json", "trials.log", "environment.json"),
}
"""By the folder, what may be damaged in it."""


@functools.cache
def made() -> Path:
    """A folder with a small training and a small search, made once by this process."""
    if reason := missing():
        raise NotHereError(reason)
    scene = kept_scene()
    scene.write("mine.csv", _TEXTS)
    for command in (
        ("task", "text-classification", *_SMALL, "--heads", "2", "--steps", "5", "--out", "trained"),
        ("explore", "--task", "text-classification", *_SMALL, "--heads", "1,2", "--steps", "5", "--out", "searched"),
    ):
        done = scene.run(*command)
        assert done.status == 0, done.whole
    import_all("optuna", "sklearn.linear_model")
    return scene.folder


def damaged(scene: Scene, draw: random.Random) -> str:
    """Anything may have happened to one of the files of what is gone on with."""
    name = draw.choice(list(_FILES))
    shutil.copytree(made() / name, scene.folder / name)
    shutil.copy(made() / "mine.csv", scene.folder)
    what = draw.choice(folders.DAMAGES)(scene.folder / name, draw, _FILES[name])
    said = orderly(scene.call("task" if name == "trained" else "explore", "--resume", name))
    return said and f"{name}, {what}: {said}"
