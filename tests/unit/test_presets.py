"""Presets: the built-in ones against the models they name, and what a user's own file may say."""

import dataclasses
import itertools

import pytest

from harness.errors import UserError
from harness.measure.plan import Effort
from harness.multi_head import MULTI_HEAD
from harness.operators.attention.operator import ATTENTION
from harness.problem import Problem
from harness.runs.presets import all_built_in, built_in, from_file

NAMES = [preset.name for preset in all_built_in()]


@pytest.mark.parametrize("name", NAMES)
def test_built_in_presets_say_what_they_are_and_hold_distinct_problems(name):
    preset = built_in(name)
    assert preset.description and preset.source
    assert len({problem.name for problem in preset.problems}) == len(preset.problems) > 0


def test_promised_presets_are_there():
    assert {"quick", "bert-base"} <= set(NAMES)


# Hidden size, heads and key/value heads, context: from each model's published configuration.
MODELS = {
    "bert-base": {"width": 768, "q_heads": 12, "kv_heads": 12, "lengths": {(128, 128), (512, 512)}, "causal": None},
    "gpt2": {"width": 768, "q_heads": 12, "kv_heads": 12, "lengths": {(1024, 1024)}, "causal": "top-left"},
    "llama3-8b-prefill": {"width": 4096, "q_heads": 32, "kv_heads": 8, "lengths": {(2048, 2048)}, "causal": "top-left"},
    "llama3-8b-decode": {"width": 4096, "q_heads": 32, "kv_heads": 8, "lengths": {(1, 4096)}, "causal": "bottom-right"},
    "vit-l16": {"width": 1024, "q_heads": 16, "kv_heads": 16, "lengths": {((224 // 16) ** 2 + 1,) * 2}, "causal": None},
    "t5-base-cross": {"width": 768, "q_heads": 12, "kv_heads": 12, "lengths": {(114, 512)}, "causal": None},
    "stable-diffusion": {"width": 320, "q_heads": 8, "kv_heads": 8, "lengths": {(64 * 64,) * 2}, "causal": None},
}


@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_those_of_the_model(name):
    model, problems = MODELS[name], built_in(name).problems
    assert {p.q_heads * p.head_dim for p in problems} == {model["width"]}
    assert {(p.q_heads, p.kv_heads) for p in problems} == {(model["q_heads"], model["kv_heads"])}
    assert {(p.q_len, p.kv_len) for p in problems} == model["lengths"]
    assert {p.causal for p in problems} == {model["causal"]}
    assert {p.v_head_dim for p in problems} == {p.head_dim for p in problems}


def test_t5_does_not_scale_its_scores():
    assert {p.scale for p in built_in("t5-base-cross").problems} == {1.0}


def test_only_the_encoders_are_padded():
    padded = {name for name in MODELS if any(p.mask for p in built_in(name).problems)}
    assert padded == {"bert-base", "t5-base-cross"}


def test_scaling_doubles_the_length_with_and_without_a_causal_mask():
    problems = built_in("scaling").problems
    for causal in (None, "top-left"):
        lengths = [p.q_len for p in problems if p.causal == causal]
        assert len(lengths) >= 4
        assert [b / a for a, b in itertools.pairwise(lengths)] == [2] * (len(lengths) - 1)


@pytest.fixture
def written(tmp_path):
    """Writes a file of problems and reads it."""

    def read(text):
        path = tmp_path / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return from_file(path)

    return read


def test_a_file_of_ones_own(written):
    preset = written(
        """
        [mine]
        description = "our encoder"
        source = "the wiki"
        effort = { rounds = 4, budget_s = 30 }
        [[mine.problems]]
        batch = 2
        q_heads = 4
        kv_heads = 2
        q_len = 5
        kv_len = 7
        head_dim = 8
        v_head_dim = 9
        dtype = "bfloat16"
        scale = 0.5
        softcap = 30.0
        causal = "bottom-right"
        window = [3, 0]
        mask = "random-b1qk"
        bias = "normal-1hqk"
        direction = "backward"
        """
    )
    assert (preset.name, preset.description, preset.source) == ("mine", "our encoder", "the wiki")
    assert preset.effort == dataclasses.replace(Effort(), rounds=4, budget_s=30)
    assert preset.problems == (
        Problem(
            batch=2,
            q_heads=4,
            kv_heads=2,
            q_len=5,
            kv_len=7,
            head_dim=8,
            v_head_dim=9,
            dtype="bfloat16",
            scale=0.5,
            softcap=30.0,
            causal="bottom-right",
            window=(3, 0),
            mask="random-b1qk",
            bias="normal-1hqk",
            direction="backward",
        ),
    )


def test_heads_and_length_set_both_of_their_kind(written):
    (problem,) = written("[[a.problems]]\nheads = 3\nlength = 6\nhead_dim = 4").problems
    assert problem == Problem(q_heads=3, kv_heads=3, q_len=6, kv_len=6, head_dim=4)


@pytest.mark.parametrize(
    "lines, field, wanted",
    [
        ("length = [4, 8]", lambda p: (p.q_len, p.kv_len), {(4, 4), (8, 8)}),
        ("length = [4, 8]\nbatch = [1, 2, 3]", lambda p: (p.q_len, p.batch), {(a, b) for a in (4, 8) for b in (1, 2, 3)}),
        ('length = 4\ncausal = ["none", "top-left"]', lambda p: p.causal, {None, "top-left"}),
        ('length = 4\nsoftcap = ["none", 2.0]', lambda p: p.softcap, {None, 2.0}),
        ("length = 4\nwindow = [3, 0]", lambda p: p.window, {(3, 0)}),
        ("length = 4\nwindow = [[3, 0], [-1, 2]]", lambda p: p.window, {(3, 0), (-1, 2)}),
    ],
)
def test_lists_stand_for_one_problem_each(written, lines, field, wanted):
    found = [field(problem) for problem in written(f"[[a.problems]]\nhead_dim = 4\n{lines}").problems]
    assert len(found) == len(wanted) and set(found) == wanted


def test_a_problem_said_twice_is_one(written):
    same = "[[a.problems]]\nlength = 4\nhead_dim = 4\n"
    in_other_words = '[[a.problems]]\nlength = [4, 5]\nhead_dim = 4\nscale = 0.5\ncausal = "none"'
    assert len(written(same + same + in_other_words).problems) == 2


def test_several_sets_in_a_file_are_run_as_one(written):
    sets = "[[a.problems]]\nlength = [4, 5]\nhead_dim = 4\n[[b.problems]]\nlength = [5, 6]\nhead_dim = 4\n"
    preset = written(sets)
    assert preset.name == "mine"
    assert [p.q_len for p in preset.problems] == [4, 5, 6]


GOOD = "length = 4\nhead_dim = 4\n"


MISTAKES = {
    "unknown-key": ("[[a.problems]]\nlenght = 4\nhead_dim = 4", ["problem 1", '"lenght"', "Did you mean", "length"]),
    "no-length": ("[[a.problems]]\nhead_dim = 4", ["problem 1", "q_len", "missing"]),
    "keys-but-no-queries": ("[[a.problems]]\nkv_len = 4\nhead_dim = 4", ["q_len", "missing"]),
    "no-head-size": ("[[a.problems]]\nlength = 4", ["head_dim", "missing"]),
    "heads-that-do-not-divide": (
        f"[[a.problems]]\n{GOOD}[[a.problems]]\n{GOOD}q_heads = 6\nkv_heads = 4",
        ["problem 2", "4", "6", "divide"],
    ),
    "negative-length": ("[[a.problems]]\nlength = -4\nhead_dim = 4", ["q_len", "at least 0", "-4"]),
    "negative-length-in-a-list": ("[[a.problems]]\nlength = [4, -4]\nhead_dim = 4", ["q_len", "at least 0", "-4"]),
    "given-twice": (f"[[a.problems]]\n{GOOD}heads = 2\nq_heads = 2", ["q_heads", "twice"]),
    "causal-as-a-flag": (f"[[a.problems]]\n{GOOD}causal = true", ["causal", "top-left", "bottom-right"]),
    "unknown-dtype": (f'[[a.problems]]\n{GOOD}dtype = "float8"', ["dtype", "float8", "float16"]),
    "half-a-window": (f"[[a.problems]]\n{GOOD}window = [1]", ["window", "(left, right)"]),
    "unknown-mask": (f'[[a.problems]]\n{GOOD}mask = "tree"', ["tree", "padding"]),
    "unknown-key-of-a-set": (f"[a]\nefforts = 1\n[[a.problems]]\n{GOOD}", ["[a]", "efforts", "effort"]),
    "no-rounds": (f"[a]\neffort = {{ rounds = 0 }}\n[[a.problems]]\n{GOOD}", ["[a]", "effort", "rounds", "above zero"]),
    "unknown-effort": (f"[a]\neffort = {{ round = 3 }}\n[[a.problems]]\n{GOOD}", ["[a]", "effort", '"round"', "rounds"]),
    "half-a-round": (f"[a]\neffort = {{ rounds = 2.5 }}\n[[a.problems]]\n{GOOD}", ["[a]", "effort", "rounds", "2.5"]),
    "no-problems": ('[a]\ndescription = "nothing"', ["[a]", "[[a.problems]]"]),
    "one-problem-without-a-list": (f"[a.problems]\n{GOOD}", ["[a]", "[[a.problems]]"]),
    "problems-that-are-numbers": ("[a]\nproblems = [128, 512]", ["[a]", "problem"]),
    "no-problem-in-the-list": ("[a]\nproblems = []", ["[a]", "problem"]),
    "no-length-in-the-list": ("[[a.problems]]\nlength = []\nhead_dim = 4", ["[a]", "length"]),
    "not-in-a-set": ("length = 4", ["length", "problems"]),
    "empty-file": ("", ["no problems", "[[name.problems]]"]),
    "not-toml": ("heads: 4", ["not TOML"]),
    "not-utf-8": (b"[a]\ndescription = '\xff\xfe'", ["not TOML"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_clear_sentence(written, mistake):
    text, words = MISTAKES[mistake]
    with pytest.raises(UserError) as caught:
        written(text)
    said = str(caught.value)
    assert "mine.toml" in said and "\n" not in said
    assert [word for word in words if word not in said] == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.toml.*No such file"):
        from_file(tmp_path / "absent.toml")


def test_a_misspelt_preset_gets_its_nearest_names():
    with pytest.raises(UserError) as caught:
        built_in("bert-bse")
    assert '"bert-bse"' in str(caught.value)
    assert "Did you mean bert-base" in str(caught.value)
    assert "python -m harness presets" in str(caught.value)


def test_sets_that_do_not_say_of_which_operator_are_of_the_one_asked_for(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[mine]\n[[mine.problems]]\nheads = 2\nlength = 4\nwidth = 8\n")
    (problem,) = from_file(path, [ATTENTION, MULTI_HEAD], MULTI_HEAD).problems
    assert isinstance(problem, MULTI_HEAD.problem) and problem.width == 8
    with pytest.raises(UserError, match='no field is called "width"'):
        from_file(path, [ATTENTION, MULTI_HEAD])


@pytest.mark.parametrize("preset", all_built_in("multi-head"), ids=lambda preset: preset.name)
def test_presets_of_the_layer_say_what_they_are_and_hold_distinct_problems(preset):
    assert preset.description and preset.source and preset.operator is MULTI_HEAD
    assert len({problem.name for problem in preset.problems}) == len(preset.problems) > 0
