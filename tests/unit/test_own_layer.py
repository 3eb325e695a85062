"""What is understood of a layer of one's own: names of weights, arguments of a call, arguments of a class."""

import numpy as np
import pytest

from harness.errors import UserError
from harness.layers.own.calling import calling
from harness.layers.own.construction import construction
from harness.layers.own.parameters import Parameter, Slot, slots
from harness.layers.own.place import Place
from harness.operators.multi_head.problem import Problem


def found(*names, shape=(12, 12), biases=()):
    """The names of the weights, by letters, and of their biases."""
    parameters = [Parameter(name, shape) for name in names] + [Parameter(name, (12,)) for name in biases]
    by_letters = {slot.letters: slot for slot in slots(parameters, "Layer")}
    return {letters: (slot.weight.name, slot.bias and slot.bias.name) for letters, slot in by_letters.items()}


NAMES = {
    "proj": ["q_proj.weight", "k_proj.weight", "v_proj.weight", "out_proj.weight"],
    "letters": ["Wq.kernel", "Wk.kernel", "Wv.kernel", "dense.kernel"],
    "capitals": ["WQ", "WK", "WV", "WO"],
    "underscores": ["w_q", "w_k", "w_v", "w_o"],
    "words": ["query.weight", "key.weight", "value.weight", "output.weight"],
    "plural": ["w_qs.weight", "w_ks.weight", "w_vs.weight", "fc.weight"],
    "linear": ["linear_q.weight", "linear_k.weight", "linear_v.weight", "linear_out.weight"],
    "inside": ["attn.q_proj.weight", "attn.k_proj.weight", "attn.v_proj.weight", "attn.proj.weight"],
    "keras": ["_query_dense.kernel", "_key_dense.kernel", "_value_dense.kernel", "_output_dense.kernel"],
    "to": ["to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight"],
    "order": ["linears.0.weight", "linears.1.weight", "linears.2.weight", "linears.3.weight"],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_weights_are_known_by_their_names_in_whatever_order(names):
    right = {letter: (name, None) for letter, name in zip("qkvo", names, strict=True)}
    assert found(*names) == right
    if "linears" not in names[0]:
        assert found(*reversed(names)) == right


def test_several_side_by_side_are_known():
    assert found("qkv.weight", "proj.weight", biases=["qkv.bias", "proj.bias"]) == {
        "qkv": ("qkv.weight", "qkv.bias"),
        "o": ("proj.weight", "proj.bias"),
    }
    assert set(found("q.weight", "kv.weight", "proj.weight")) == {"q", "kv", "o"}
    assert set(found("in_proj_weight", "out_proj.weight")) == {"qkv", "o"}
    assert set(found("c_attn.weight", "c_proj.weight")) == {"qkv", "o"}


def test_biases_go_with_their_weights():
    assert found("w_q", "w_k", "w_v", "w_o", biases=["b_o", "b_q"]) == {
        "q": ("w_q", "b_q"), "k": ("w_k", None), "v": ("w_v", None), "o": ("w_o", "b_o"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "names",
    [
        ["first", "second", "third"],
        ["q", "k", "v"],
        ["q", "k", "v", "q2", "o2"],
        ["e", "f", "g", "h", "i"],
        ["q", "f", "g", "h"],
    ],
)
def test_weights_that_names_do_not_tell_apart_are_an_error_that_lists_them(names):
    with pytest.raises(UserError) as caught:
        found(*names)
    assert all(f"{name} (12, 12)" in str(caught.value) for name in names)


WEIGHTS = Problem(q_len=1, q_heads=3, width=8, head_dim=2, v_head_dim=4, biases=True).weight_shapes


@pytest.mark.parametrize(
    "letters, shape, transposed",
    [
        ("q", (8, 6), False), ("q", (6, 8), True), ("q", (8, 3, 2), False), ("q", (3, 8, 2), False),
        ("o", (12, 8), False), ("o", (8, 12), True), ("o", (3, 4, 8), False), ("kv", (8, 18), False), ("qkv", (24, 8), True),
    ],
)  # fmt: skip
def test_a_weight_is_stored_in_the_layers_form_and_its_gradient_comes_back_in_ours(letters, shape, transposed):
    rng = np.random.default_rng(0)
    given = {name: rng.random(size, dtype=np.float32) for name, size in WEIGHTS.items()}
    slot = Slot(letters, Parameter("w", shape, None, transposed), Parameter("b", (-1,)))
    stored = slot.weights(given)
    assert stored.shape == shape
    back = slot.gradients(stored, WEIGHTS)
    assert [*back] == [f"w{letter}" for letter in letters]
    assert all(np.array_equal(back[name], given[name]) for name in back)


def test_which_way_a_square_matrix_is_stored_is_a_matter_of_its_class():
    square = {"wq": np.arange(16.0).reshape(4, 2, 2)}
    assert np.array_equal(Slot("q", Parameter("w", (4, 4))).weights(square), square["wq"].reshape(4, 4))
    assert np.array_equal(Slot("q", Parameter("w", (4, 4), None, True)).weights(square), square["wq"].reshape(4, 4).T)


def test_a_weight_that_does_not_fit_is_an_error():
    with pytest.raises(UserError, match=r"w is taken for W\^Q and has the shape \(5, 5\), not \(8, 6\)"):
        Slot("q", Parameter("w", (5, 5))).weights({"wq": np.zeros((8, 3, 2))})


X, Y, MASK = "x", "y", "mask"
CALLS = [
    (lambda self, x: 0, {"x": X}, {"x": X}),
    (lambda self, tokens: 0, {"tokens": X}, {"tokens": X}),
    (lambda self, x, mask=None: 0, {"x": X, "mask": MASK}, {"x": X, "mask": MASK}),
    (lambda self, x, y: 0, {"x": X, "y": X}, {"x": X, "y": Y}),
    (lambda self, x, context=None: 0, {"x": X}, {"x": X, "context": Y}),
    (lambda self, v, k, q, mask: 0, {"v": X, "k": X, "q": X, "mask": MASK}, {"v": Y, "k": Y, "q": X, "mask": MASK}),
    (lambda self, query, value, key=None, training=None: 0, {"query": X, "value": X, "key": X, "training": False},
     {"query": X, "value": Y, "key": Y, "training": False}),
    (lambda self, x, scale=2, **others: 0, {"x": X}, {"x": X}),
]  # fmt: skip


@pytest.mark.parametrize("function, alone, crossed", CALLS)
def test_arguments_of_a_call_are_known_by_their_names(function, alone, crossed):
    call = calling(function, "Layer")
    assert call.keywords(X, None, MASK) == alone
    assert call.keywords(X, Y, MASK) == crossed
    assert call.takes_mask == (MASK in alone.values()) and call.takes_y == (Y in crossed.values())


@pytest.mark.parametrize("function", [lambda self, a, b: 0, lambda self, x, a: 0, lambda self, k, v: 0, lambda self: 0])
def test_a_call_whose_arguments_say_nothing_is_an_error(function):
    with pytest.raises(UserError, match="call its arguments x, or x and y, or q, k and v"):
        calling(function, "Layer")


def made(init, arguments=None):
    """(what a class is made with for a layer of width 12 and 3 heads, the sizes among them)."""
    cls = type("Layer", (), {"__init__": init})
    make, sizes = construction(cls, Place(None, "Layer", arguments))
    return vars(make(Problem(q_len=5, q_heads=3, width=12))), sizes


def test_arguments_of_a_class_are_known_by_their_names():
    def one(self, num_heads, key_dim, dropout, use_bias=True, rate=0.5):
        self.given = num_heads, key_dim, dropout, use_bias, rate

    def other(self, embed_dim, num_heads=8, batch_first=False, head_dim=None):
        self.given = embed_dim, num_heads, batch_first, head_dim

    assert made(one) == ({"given": (3, 4, 0.0, False, 0.5)}, {"heads", "head_dim", "biases"})
    assert made(other) == ({"given": (12, 3, True, None)}, {"width", "heads"})


def test_arguments_may_be_typed():
    def init(self, a, b, c):
        self.given = a, b, c

    assert made(init, "width // heads, c=None, b=2 * kv_heads") == ({"given": (4, 6, None)}, {"width", "heads", "kv_heads"})
    with pytest.raises(UserError, match="names size, sys; known are width, heads"):
        made(init, "size, sys.path, 3")
