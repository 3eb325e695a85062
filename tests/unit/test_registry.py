"""Implementations: how one declares itself, is found, is refused, and fails alone."""

import dataclasses
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError, describe
from harness.plugins.implementation import Origin
from harness.plugins.registry import ENTRY_POINT_GROUP, Broken, Registry, discover, find
from harness.problem import CAUSAL, DTYPES, Problem
from harness.registry import EVERYTHING, Implementation, Supports, implementation

ROOT = Path(__file__).parents[2]

PLUGIN = '''
from harness.registry import Supports, implementation

@implementation("{name}", supports=Supports(dtypes=("float64",)))
def some(problem):
    """What it is.

    And more.
    """
    return lambda q, k, v: v
'''


def posed(**fields):
    return Problem(**{"q_heads": 2, "q_len": 4, "kv_len": 6, "head_dim": 8, **fields})


FEATURES = {
    "dtypes": ({"dtype": "float16"}, "float16"),
    "causal": ({"causal": "bottom-right"}, "bottom-right"),
    "window": ({"window": (1, 1)}, "window"),
    "mask": ({"mask": "padding"}, "boolean mask"),
    "bias": ({"bias": "normal-qk"}, "bias"),
    "softcap": ({"softcap": 2.0}, "softcap"),
    "grouped_heads": ({"kv_heads": 1}, "grouped heads"),
    "v_head_dim": ({"v_head_dim": 5}, "values"),
    "gradients": ({"direction": "backward"}, "gradients"),
}
WITHOUT = {"dtypes": ("float32",), "causal": ("top-left",)}


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_not_declared_is_refused_in_words(feature):
    fields, word = FEATURES[feature]
    lacking = dataclasses.replace(EVERYTHING, **{feature: WITHOUT.get(feature, False)})
    (reason,) = lacking.unsupported_reasons(posed(**fields))
    assert word in reason
    assert EVERYTHING.unsupported_reasons(posed(**fields)) == []
    assert lacking.unsupported_reasons(posed()) == []
    assert Supports().unsupported_reasons(posed(**fields)) == [reason]


def test_every_reason_is_given_at_once():
    everything = {key: value for fields, _ in FEATURES.values() for key, value in fields.items()}
    assert len(Supports().unsupported_reasons(posed(**everything))) == len(FEATURES)


@pytest.mark.parametrize("alignment", CAUSAL)
def test_with_as_many_keys_as_queries_one_alignment_is_as_good_as_the_other(alignment):
    one = Supports(causal=(next(other for other in CAUSAL if other != alignment),))
    assert one.unsupported_reasons(posed(causal=alignment, kv_len=4)) == []
    assert one.unsupported_reasons(posed(causal=alignment, kv_len=5)) != []
    assert Supports().unsupported_reasons(posed(causal=alignment, kv_len=4)) != []


def test_because_replaces_the_standard_reason():
    supports = Supports(reasons={"window": "its kernel has no windows"})
    assert supports.unsupported_reasons(posed(window=(1, 1))) == ["its kernel has no windows"]
    assert supports.unsupported_reasons(posed()) == []


def test_also_adds_reasons_of_its_own():
    supports = Supports(extra_check=lambda problem: ["head size above 4"] if problem.head_dim > 4 else [])
    assert supports.unsupported_reasons(posed()) == ["head size above 4"]
    assert len(supports.unsupported_reasons(posed(softcap=1.0))) == 2
    assert supports.unsupported_reasons(posed(head_dim=4)) == []


def test_summary_names_what_is_there_or_what_is_missing():
    assert EVERYTHING.summary() == "everything"
    assert dataclasses.replace(EVERYTHING, softcap=False).summary() == "all but softcap"
    assert Supports(mask=True).summary() == "f32, mask"


def test_each_device_may_declare_for_itself():
    @implementation("two", devices=("cpu", "cuda"), supports={"cpu": EVERYTHING, "cuda": Supports()})
    def two(problem):
        """Two of them."""

    assert two.supports_on("cpu") is EVERYTHING
    assert two.supports_on("cuda").unsupported_reasons(posed(softcap=1.0)) != []


def test_a_declaration_keeps_what_it_was_told():
    def factory(problem):
        """What it is.

        And more.
        """

    declared = implementation("mine", framework="torch", layout="BSHD", slow_build=True, supports=EVERYTHING)(factory)
    assert (declared.name, declared.framework, declared.layout, declared.slow_build) == ("mine", "torch", "BSHD", True)
    assert declared.factory is factory
    assert declared.summary == "What it is."
    assert declared.supports_on("cpu") == EVERYTHING


def test_a_declaration_that_says_nothing_supports_plain_float32():
    declared = implementation("mine")(lambda problem: None)
    assert declared.devices == ("cpu",)
    assert declared.supports_on("cpu").unsupported_reasons(posed()) == []
    assert [d for d in DTYPES if not declared.supports_on("cpu").unsupported_reasons(posed(dtype=d))] == ["float32"]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"layout": "SBHD"}, ["mine", "layout", "BHSD", "SBHD"]),
        ({"devices": ("tpu",)}, ["mine", "devices", "cuda", "tpu"]),
        ({"devices": ()}, ["mine", "devices", "cpu"]),
    ],
)
def test_an_impossible_declaration_says_why(options, words):
    with pytest.raises(UserError) as caught:
        implementation("mine", **options)
    assert [word for word in words if word not in str(caught.value)] == []


# --- finding them ------------------------------------------------------------------------------------


def write(folder, name, text):
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


def test_the_implementations_of_the_project_are_found():
    found = discover().of("attention")
    assert {"numpy", "naive"} <= set(found.implementations)
    assert found.broken == []
    assert all(one.name == name and one.summary for name, one in found.implementations.items())


def test_finding_them_imports_no_framework():
    code = (
        "import sys; from harness.plugins.registry import discover; discover(); "
        "print([m for m in ('torch', 'jax', 'tensorflow', 'keras', 'onnxruntime', 'openvino', 'numba') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_plug_in_file_is_found_and_found_again_by_a_worker(tmp_path):
    found = discover([write(tmp_path, "plugin", PLUGIN.format(name="mine"))]).of("attention").implementations["mine"]
    assert found.summary == "What it is."
    again = find(found.origin, "mine")
    assert again.name == "mine" and again.factory(None)(1, 2, 3) == 3


def test_a_worker_that_asks_for_what_is_not_there_is_told(tmp_path):
    origin = Origin("file", write(tmp_path, "plugin", PLUGIN.format(name="mine")))
    with pytest.raises(UserError, match=r"plugin.*yours"):
        find(origin, "yours")


@pytest.mark.parametrize(
    "text, words",
    [
        ("raise OSError('no licence')", ["OSError", "no licence", "plugin.py", "line 1"]),
        ("import a_module_that_nobody_has", ["ModuleNotFoundError", "a_module_that_nobody_has"]),
        ("def broken(:", ["SyntaxError"]),
        ("x = 1", ["declares no implementation", "@implementation"]),
        (PLUGIN.format(name="numpy"), ["numpy", "already taken"]),
        ("import sys\nsys.exit(3)", ["SystemExit"]),
    ],
    ids=["raises", "misses-a-module", "is-not-python", "declares-nothing", "takes-a-name", "exits"],
)
def test_a_plug_in_that_was_asked_for_and_cannot_be_used_ends_the_command(tmp_path, text, words):
    plugin = write(tmp_path, "plugin", text)
    with pytest.raises(UserError) as caught:
        discover([plugin])
    assert plugin in str(caught.value) and "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_missing_plug_in_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.py does not exist.*--plugin"):
        discover([str(tmp_path / "absent.py")])


def test_a_plug_in_in_nobodys_home_or_behind_links_in_a_circle_is_missing(tmp_path):
    circle = tmp_path / "circle.py"
    circle.symlink_to(circle)
    for plugin in ("~nobody-has-this-name/plugin.py", str(circle)):
        for where in (plugin, f"{plugin}:Layer"):
            with pytest.raises(UserError, match=r"does not exist"):
                discover([where])


def test_a_plug_in_that_is_not_python_is_refused(tmp_path):
    path = tmp_path / "plugin.txt"
    path.write_text("hello")
    with pytest.raises(UserError, match="not a Python file"):
        discover([str(path)])


def installed(monkeypatch, *modules):
    """Have packages installed whose entry points are these modules."""
    points = [importlib.metadata.EntryPoint(f"{module}-entry", module, ENTRY_POINT_GROUP) for module in modules]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [p for p in points if p.group == group])


def test_installed_packages_are_asked(tmp_path, monkeypatch):
    write(tmp_path, "some_installed_kernels", PLUGIN.format(name="theirs"))
    monkeypatch.syspath_prepend(tmp_path)
    installed(monkeypatch, "some_installed_kernels")
    found = discover().of("attention").implementations["theirs"]
    assert found.origin == Origin("module", "some_installed_kernels")


@pytest.mark.parametrize("fault", ["raise OSError('no licence')", "import sys\nsys.exit(3)"], ids=["raises", "exits"])
def test_an_installed_package_that_cannot_be_loaded_is_a_row_and_the_others_are_found(tmp_path, monkeypatch, fault):
    write(tmp_path, "a_broken_package", fault)
    write(tmp_path, "a_good_package", PLUGIN.format(name="theirs"))
    monkeypatch.syspath_prepend(tmp_path)
    installed(monkeypatch, "a_broken_package", "a_good_package")
    monkeypatch.delitem(sys.modules, "a_broken_package", raising=False)
    monkeypatch.delitem(sys.modules, "a_good_package", raising=False)
    found = discover().of("attention")
    assert {"theirs", "numpy"} <= set(found.implementations)
    (broken,) = found.broken
    assert broken.name == "a_broken_package-entry"
    assert broken.error.startswith(("OSError: no licence", "SystemExit"))


# --- choosing among them -----------------------------------------------------------------------------


def registry(*names, broken=()):
    some = {name: Implementation(name, lambda problem: None) for name in names}
    return Registry(some, [Broken(name, Origin("file", f"{name}.py"), "OSError") for name in broken])


@pytest.mark.parametrize(
    "said, chosen",
    [
        ("a", ["a"]),
        ("b,a", ["b", "a"]),
        (" b , a ,", ["b", "a"]),
        ("a,b,a", ["a", "b"]),
        ("all", ["a", "b", "broken"]),
        ("broken", ["broken"]),
    ],
)
def test_names_are_chosen_in_order_and_once(said, chosen):
    assert registry("a", "b", broken=["broken"]).select(said) == chosen


def test_a_misspelt_name_gets_its_nearest():
    with pytest.raises(UserError) as caught:
        registry("numpy", "torch-sdpa-flash", "naive").select("numpy,torch-sdpa-flsh")
    assert '"torch-sdpa-flsh"' in str(caught.value)
    assert "Did you mean torch-sdpa-flash?" in str(caught.value)
    assert "python -m harness list" in str(caught.value) and "3" in str(caught.value)


@pytest.mark.parametrize("said", ["", " ", ",,"])
def test_no_name_at_all_is_a_mistake(said):
    with pytest.raises(UserError, match="--impl"):
        registry("a").select(said)


def test_an_exception_is_described_in_one_line_with_its_place(tmp_path):
    origin = Origin("file", write(tmp_path, "plugin", "\n\nraise ValueError('first\\n  \\x1b[1msecond\\x1b[0m')"))
    with pytest.raises(ValueError, match="first") as caught:
        origin.load()
    assert describe(caught.value) == "ValueError: first second (plugin.py, line 3)"
