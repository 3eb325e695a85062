"""What a careless user types: one clear sentence, exit status 2, and nothing lost."""

import os

import pytest

from tests.system.conftest import PLUGINS, TINY_PROBLEMS

TINY = TINY_PROBLEMS


def complaint(done):
    """The one line that the command complained with."""
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("harness: ")
    return lines[0]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["run", "--impl", "numpi"], ['no implementation is called "numpi"', "Did you mean numpy"]),
        (["check", "--impl", "torch-sdpa-flsh"], ["Did you mean torch-sdpa-flash"]),
        (["run", "--impl", ","], ["no implementation was named"]),
        (["run", "--preset", "quik"], ['no preset is called "quik"', "Did you mean quick"]),
        (["run", "--problems", "nowhere.toml"], ["nowhere.toml", "No such file"]),
        (["run", "--plugin", "nowhere.py"], ["nowhere.py does not exist"]),
        (["run", "--preset", "smoke", "--problems", "x.toml"], ["--preset and --problems"]),
        (["run", "--threads", "4096"], ["--threads 4096 is more than"]),
        (["run", "--impl", "numpy", "--baseline", "jax"], ["--baseline jax is not among"]),
        (["run", "--resume", "nowhere"], ["nowhere holds no run"]),
        (["run", "--resume", "nowhere", "--impl", "numpy"], ["--resume", "--impl cannot be given"]),
        (["report", "nowhere"], ["nowhere holds no run"]),
        (["check", "--impl", "numpy", "--case", "casual"], ['"casual"', "Did you mean causal"]),
        (["list", "--operator", "lstm"], ['no operator is called "lstm"', "there are attention and multi-head"]),
        (["run", "--operator", "multi-hed"], ["Did you mean multi-head"]),
        (["explore", "--task", "sentiment", "--heads", "0", "--layers", "1,2"], ["heads must be at least 1, not 0"]),
        (["run", "--operator", "multi-head", "--preset", "vit-huge"], ["presets --operator multi-head"]),
    ],
)
def test_one_sentence(harness, arguments, words):
    sentence = complaint(harness(*arguments))
    for word in words:
        assert word in sentence
    assert not (harness.folder / "runs").exists()


@pytest.mark.parametrize(
    "change, words",
    [
        (("heads = 1", "q_heads = 6\nkv_heads = 4"), "4 key/value heads do not divide 6 query heads"),
        (("length = 16", "length = -1"), "q_len must be at least 0, not -1"),
        (("length = 16", "length = 0"), "the answer would be empty, o (1, 1, 0, 8): there is nothing to measure"),
        (("heads = 1", "heads = 1\nbatch = [2, 0]"), "o (0, 1, 16, 8)"),
        (("head_dim = 8", "head_dim = 0"), "head_dim must be at least 1, not 0"),
        (("head_dim = 8", "head_dim = 8.5"), "head_dim must be a whole number, not 8.5"),
        (("head_dim = 8", 'head_dim = 8\ncausal = "left"'), "causal must be one of top-left, bottom-right"),
        (("head_dim = 8", "head_dims = 8"), 'no field is called "head_dims". Did you mean head_dim'),
        (("[[tiny", "[[tiny.tiny"), "needs problems"),
        (("rounds = 2", "rouns = 2"), "rouns"),
        (("rounds = 2", "rounds = 0"), "rounds must be a whole number above zero"),
        (("heads = 1", "heads ="), "is not TOML"),
    ],
)
def test_problems_that_cannot_be_posed(harness, change, words):
    file = harness.write("mine.toml", TINY.replace(*change))
    assert words in complaint(harness("run", "--impl", "numpy", "--problems", file))


LAYER = """
[layer]
operator = "multi-head"
[[layer.problems]]
heads = 2
length = 4
width = 8
"""


@pytest.mark.parametrize(
    "change, words",
    [
        (("heads = 2", "heads = 3"), "3 heads do not divide the width 8; give a head_dim"),
        (("heads = 2", "q_heads = 4\nkv_heads = 3"), "3 key/value heads do not divide 4 query heads"),
        (("width = 8", "width = 0"), "width must be at least 1, not 0"),
        (("width = 8", "width = 8\ny_width = 4"), "set cross = true"),
        (("width = 8", "width = 8\ncross = true\ncache = 3"), "cross-attention has no cache"),
        (("width = 8", 'width = 8\ncache = 3\ndirection = "backward"'), "a cache is for inference"),
        (("width = 8", 'width = 8\nbias = "normal-qk"'), 'no field is called "bias". Did you mean biases'),
        (("multi-head", "multihead"), 'no operator is called "multihead". Did you mean multi-head'),
    ],
)
def test_layers_that_cannot_be_posed(harness, change, words):
    file = harness.write("mine.toml", LAYER.replace(*change))
    assert words in complaint(harness("run", "--operator", "multi-head", "--impl", "numpy", "--problems", file))


def test_a_plugin_that_raises(harness, tiny):
    plugin = harness.write("mine.py", "def kernel(:\n")
    assert "mine.py cannot be loaded: SyntaxError" in complaint(harness("run", "--plugin", plugin, "--problems", tiny))


def test_a_plugin_that_declares_nothing(harness, tiny):
    plugin = harness.write("mine.py", "x = 1\n")
    sentence = complaint(harness("run", "--plugin", plugin, "--problems", tiny))
    assert "declares no implementation" in sentence
    assert "@implementation" in sentence


def test_a_plugin_that_takes_a_name_that_is_taken(harness, tiny):
    text = 'from harness.registry import implementation\n@implementation("numpy")\ndef mine(problem): ...\n'
    plugin = harness.write("mine.py", text)
    assert "numpy is already taken" in complaint(harness("list", "--plugin", plugin))


DECLARED = """from harness.registry import Supports, implementation

@implementation("mine", supports=Supports(dtypes=("float32",)))
def mine(problem): ...
"""


@pytest.mark.parametrize(
    "change, words",
    [
        (('dtypes=("float32",)', 'dtypes=("fp32",)'), ["mine: ", '"fp32"', "Did you mean float32?", "mine.py, line 3"]),
        (('dtypes=("float32",)', 'mask="yes"'), ["mask must be True or False"]),
        (('"mine", ', '"mine", framework="pytorch", '), ["Did you mean torch?"]),
        (('"mine", ', '"mine", known_failures={"logit/*": "a reason"}, '), ["mine: ", '"logit/*"', "names no case"]),
    ],
)
def test_a_plugin_whose_declaration_says_what_nobody_knows(harness, change, words):
    plugin = harness.write("mine.py", DECLARED.replace(*change))
    sentence = complaint(harness("check", "--impl", "mine", "--plugin", plugin))
    assert [word for word in words if word not in sentence] == []
    assert "UserError" not in sentence


def test_a_folder_that_holds_something_is_not_touched(harness, tiny):
    (harness.folder / "precious").mkdir()
    note = harness.write("precious/notes.txt", "years of work")
    assert "nothing in it will be overwritten" in complaint(
        harness("run", "--impl", "numpy", "--problems", tiny, "--out", "precious")
    )
    assert note.read_text() == "years of work"
    assert list(note.parent.iterdir()) == [note]


@pytest.mark.parametrize("where", ["file/out", "file", "/proc/out"])
def test_a_folder_that_cannot_be_written(harness, tiny, where):
    harness.write("file", "not a folder")
    assert "cannot write" in complaint(harness("run", "--impl", "numpy", "--problems", tiny, "--out", where))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(harness, tiny):
    (harness.folder / "locked").mkdir(mode=0o500)
    assert "Permission denied" in complaint(harness("run", "--impl", "numpy", "--problems", tiny, "--out", "locked/out"))


def test_a_missing_command_or_option_is_explained(harness):
    for arguments in ([], ["rum"], ["run", "--timeout", "-1"], ["run", "--dtype", "float8"], ["run", "--threads", "0"]):
        assert "--help` shows what there is" in complaint(harness(*arguments))


def test_plugins_of_the_suite_are_loadable(harness):
    done = harness("list", "--plugin", PLUGINS / "statuses.py")
    assert done.returncode == 0
    assert "memory-hog" in done.stdout
