"""The tolerance: reference computations in each dtype lie within it, planted faults do not."""

import dataclasses
import functools

import ml_dtypes
import numpy as np
import pytest

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.reference import expected
from harness.operators.attention.variations import vary
from harness.operators.checks import accuracy
from harness.problem import Problem
from tests.unit.plain import admitted

DTYPES = ("float64", "float32", "float16", "bfloat16")
HALF = ("float16", "bfloat16")


def posed(**fields):
    return Problem(**{"batch": 2, "q_heads": 4, "kv_heads": 2, "q_len": 18, "kv_len": 21, "head_dim": 16, **fields})


def store(array, problem):
    """Rounded to the problem's dtype, as it lies in memory between two kernels, and read again for accumulation."""
    work = np.float64 if problem.dtype == "float64" else np.float32
    return array.astype(NUMPY_DTYPES[problem.dtype]).astype(work)


class LowPrecisionReference:
    """Attention in the accumulator's dtype (float32, or float64 for float64). Faults override one step each."""

    def __init__(self, problem, inputs):
        self.problem = problem
        self.work = np.float64 if problem.dtype == "float64" else np.float32
        group = problem.q_heads // problem.kv_heads
        self.q = inputs.q.astype(self.work)
        self.k, self.v = (self.spread(x.astype(self.work), group) for x in (inputs.k, inputs.v))
        self.bias = None if inputs.bias is None else inputs.bias.astype(self.work)
        self.mask, self.inputs = inputs.mask, inputs

    def spread(self, x, group):
        return np.repeat(x, group, axis=1)

    def scale(self):
        return self.work(self.problem.scale)

    def raw_scores(self):
        return self.scale() * (self.q @ self.k.swapaxes(-1, -2))

    def capped(self, s):
        cap = self.problem.softcap
        return s if cap is None else self.work(cap) * np.tanh(s / self.work(cap))

    def scores(self):
        s = self.capped(self.raw_scores())
        return s if self.bias is None else s + self.bias

    def allowed(self):
        return admitted(self.problem, self.mask, self.bias)

    def weights(self, s):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            m = s.max(axis=-1, keepdims=True, initial=-np.inf)
            e = np.exp(s - np.where(np.isfinite(m), m, 0))
            total = e.sum(axis=-1, keepdims=True)
            return e / np.where(total == 0, 1, total)

    def output(self):
        p = self.weights(np.where(self.allowed(), self.scores(), -np.inf).astype(self.work))
        return p @ self.v

    def __call__(self):
        with np.errstate(all="ignore"):
            return {"o": self.output().astype(NUMPY_DTYPES[self.problem.dtype])}


class StoredInBetween(LowPrecisionReference):
    """The scores and the weights are written out in the problem's dtype, as unfused kernels do."""

    def scores(self):
        return store(super().scores(), self.problem)

    def weights(self, s):
        return store(super().weights(s), self.problem)


class ScaleInTheOperands(LowPrecisionReference):
    """√scale goes into q and into k, which are stored."""

    def raw_scores(self):
        root = np.sqrt(abs(self.scale()))
        q, k = store(self.q * root, self.problem), store(self.k * root, self.problem)
        return np.sign(self.scale()) * (q @ k.swapaxes(-1, -2))


class Backwards(LowPrecisionReference):
    """Every sum in the opposite order, and o divided at the end."""

    def output(self):
        s = np.where(self.allowed(), self.scores(), -np.inf).astype(self.work)[..., ::-1]
        m = s.max(axis=-1, keepdims=True, initial=-np.inf)
        e = np.exp(s - np.where(np.isfinite(m), m, 0))
        total = np.add.accumulate(e, axis=-1)[..., -1:] if s.shape[-1] else e.sum(axis=-1, keepdims=True)
        return (e @ self.v[:, :, ::-1]) / np.where(total == 0, 1, total)


class Online(LowPrecisionReference):
    """Tiles of five keys with a running maximum and sum; weights and values are multiplied as stored."""

    rescales = True

    def output(self):
        s = np.where(self.allowed(), self.scores(), -np.inf).astype(self.work)
        m = np.full((*s.shape[:-1], 1), -np.inf, self.work)
        l, o = np.zeros_like(m), np.zeros((*s.shape[:-1], self.v.shape[-1]), self.work)
        for start in range(0, s.shape[-1], 5):
            tile = s[..., start : start + 5]
            above = np.maximum(m, tile.max(axis=-1, keepdims=True))
            shift = np.where(np.isfinite(above), above, 0)
            old = np.exp(m - shift) if self.rescales else np.ones_like(m)
            p = np.exp(tile - shift)
            l = l * old + p.sum(axis=-1, keepdims=True)
            o = o * old + store(p, self.problem) @ self.v[:, :, start : start + 5]
            m = above
        return o / np.where(l == 0, 1, l)


FEATURES = {
    "plain": {},
    "bottom-right": {"causal": "bottom-right"},
    "more-queries": {"causal": "bottom-right", "q_len": 21, "kv_len": 9},
    "window": {"window": (4, 2)},
    "mask": {"mask": "random-b1qk"},
    "empty-rows": {"mask": "empty-rows-b1qk"},
    "bias": {"bias": "normal-1hqk"},
    "blocking": {"bias": "blocking-qk"},
    "softcap": {"softcap": 0.5},
    "negative-scale": {"scale": -0.3},
    "unit-scale": {"scale": 1.0},
    # Scores that are exactly known: only what comes after them is left to excuse an error.
    "zero-scale": {"scale": 0.0, "causal": "bottom-right", "kv_heads": 4},
    "saturated": {"scale": 8.0},
    "very-saturated": {"scale": 100.0, "head_dim": 64},
    "own-key-only": {"window": (0, 0), "q_len": 21, "head_dim": 64},
    "long": {"batch": 1, "q_heads": 2, "q_len": 40, "kv_len": 300, "head_dim": 64},
    "no-keys": {"kv_len": 0},
}


@functools.cache
def answered(problem, variation):
    inputs = vary(problem, variation, seed=11)
    return inputs, expected(problem, inputs)


def judged(computation, problem, variation="normal"):
    inputs, answer = answered(problem, variation)
    return accuracy(computation(problem, inputs)(), answer)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("computation", [LowPrecisionReference, StoredInBetween, ScaleInTheOperands, Backwards, Online])
@pytest.mark.parametrize("feature", FEATURES)
def test_an_honest_computation_is_accepted(dtype, computation, feature):
    found = judged(computation, posed(dtype=dtype, **FEATURES[feature]))
    assert found.correct, found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variation", ["large-logits", "tiny-logits", "rising-logits", "offset-values"])
@pytest.mark.parametrize("computation", [LowPrecisionReference, StoredInBetween, Online])
def test_an_honest_computation_on_unusual_arrays_is_accepted(dtype, variation, computation):
    found = judged(computation, posed(dtype=dtype), variation)
    assert found.correct, found


# --- planted faults ----------------------------------------------------------------------------------


class ScaleOfOneMore(LowPrecisionReference):
    def scale(self):
        return self.work(1 / np.sqrt(self.problem.head_dim + 1))


class NoScale(LowPrecisionReference):
    def scale(self):
        return self.work(1)


class LastKeyDropped(LowPrecisionReference):
    def allowed(self):
        return super().allowed() & (np.arange(self.problem.kv_len) < self.problem.kv_len - 1)


class WrongAxis(LowPrecisionReference):
    def weights(self, s):
        return super().weights(s.swapaxes(-1, -2)).swapaxes(-1, -2)


class NoMaximum(LowPrecisionReference):
    def weights(self, s):
        e = np.exp(s)
        return e / e.sum(axis=-1, keepdims=True)


def up_to_diagonal(problem, offset):
    """True where key j is at most `offset` beyond query i."""
    return np.arange(problem.kv_len) <= np.arange(problem.q_len)[:, None] + offset


class StrictCausal(LowPrecisionReference):
    def allowed(self):
        return up_to_diagonal(self.problem, self.problem.kv_len - self.problem.q_len - 1)


class LaxCausal(LowPrecisionReference):
    def allowed(self):
        return up_to_diagonal(self.problem, self.problem.kv_len - self.problem.q_len + 1)


class TopLeft(LowPrecisionReference):
    def allowed(self):
        return up_to_diagonal(self.problem, 0)


class BottomRight(LowPrecisionReference):
    def allowed(self):
        return up_to_diagonal(self.problem, self.problem.kv_len - self.problem.q_len)


class WiderWindow(LowPrecisionReference):
    def allowed(self):
        left, right = self.problem.window
        return admitted(self.problem.replace(window=(left + 1, right)))


class NoWindow(LowPrecisionReference):
    def allowed(self):
        return admitted(self.problem.replace(window=None))


class MaskInverted(LowPrecisionReference):
    def allowed(self):
        return ~self.mask


class MaskIgnored(LowPrecisionReference):
    def allowed(self):
        return np.ones(self.mask.shape, bool)


class MaskOfTheFirstBatchElement(LowPrecisionReference):
    def allowed(self):
        return self.mask[:1]


class HiddenKeysCountAsZeroScores(LowPrecisionReference):
    def weights(self, s):
        return super().weights(np.where(np.isneginf(s), 0, s))


class HeadsTiled(LowPrecisionReference):
    def spread(self, x, group):
        return np.tile(x, (1, group, 1, 1))


class FirstKeyHeadForAll(LowPrecisionReference):
    def spread(self, x, group):
        return np.repeat(x[:, :1], self.problem.q_heads, axis=1)


class EmptyRowsAsMeans(LowPrecisionReference):
    def output(self):
        empty = ~self.allowed().any(axis=-1, keepdims=True)
        return np.where(empty, self.v.mean(axis=-2, keepdims=True), super().output())


class EmptyRowsAsNotANumber(LowPrecisionReference):
    def output(self):
        empty = ~self.allowed().any(axis=-1, keepdims=True)
        return np.where(empty, np.nan, super().output())


class NoCap(LowPrecisionReference):
    def capped(self, s):
        return s


class CapAfterBias(LowPrecisionReference):
    def scores(self):
        return self.capped(self.raw_scores() + self.bias)


class BiasBeforeScale(LowPrecisionReference):
    def scores(self):
        return self.scale() * (self.q @ self.k.swapaxes(-1, -2) + self.bias)


class NoBias(LowPrecisionReference):
    def scores(self):
        return self.capped(self.raw_scores())


class NotNormalised(LowPrecisionReference):
    def weights(self, s):
        return np.exp(s - s.max(axis=-1, keepdims=True))


class HalfScores(LowPrecisionReference):
    """A float32 problem whose scores went through half precision, as tensor cores do unless told not to."""

    def raw_scores(self):
        q, k = self.q.astype(np.float16).astype(np.float32), self.k.astype(np.float16).astype(np.float32)
        return self.scale() * (q @ k.swapaxes(-1, -2))


class HalfWeights(LowPrecisionReference):
    def weights(self, s):
        return super().weights(s).astype(np.float16).astype(np.float32)


class SingleInADoubleProblem(LowPrecisionReference):
    def raw_scores(self):
        return super().raw_scores().astype(np.float32).astype(np.float64)


class OnlineWithoutRescaling(Online):
    rescales = False


class LastTileDropped(LowPrecisionReference):
    def allowed(self):
        return super().allowed() & (np.arange(self.problem.kv_len) < self.problem.kv_len // 16 * 16)


class OneElementOff(LowPrecisionReference):
    """A race that strikes a single element."""

    def output(self):
        o = super().output().copy()
        o[1, 2, 7, 3] += 0.01
        return o


class SixtyFourRoundings(LowPrecisionReference):
    """One key, hence a weight of exactly one: o is v, and nothing excuses more than a few roundings."""

    def output(self):
        return super().output() * (1 + 64 * float(ml_dtypes.finfo(NUMPY_DTYPES[self.problem.dtype]).eps) / 2)


WIDE = ("float64", "float32")
CAUSAL = {"causal": "bottom-right"}
FAULTS = {
    "scale-of-d-plus-one": (ScaleOfOneMore, {}, (*WIDE, "float16")),
    "scale-of-d-plus-one-at-128": (ScaleOfOneMore, {"head_dim": 128}, WIDE),
    "no-scale": (NoScale, {}, DTYPES),
    "last-key": (LastKeyDropped, {}, DTYPES),
    "last-key-of-300": (LastKeyDropped, {"kv_len": 300}, WIDE),
    "last-key-of-3": (LastKeyDropped, {"kv_len": 3}, DTYPES),
    "last-tile": (LastTileDropped, {}, DTYPES),
    "wrong-axis": (WrongAxis, {}, DTYPES),
    "wrong-axis-square": (WrongAxis, {"kv_len": 18}, DTYPES),
    "strict-causal": (StrictCausal, CAUSAL, DTYPES),
    "lax-causal": (LaxCausal, CAUSAL, DTYPES),
    "top-left": (TopLeft, CAUSAL, DTYPES),
    "top-left-more-queries": (TopLeft, {**CAUSAL, "q_len": 21, "kv_len": 18}, DTYPES),
    "bottom-right": (BottomRight, {"causal": "top-left"}, DTYPES),
    "wider-window": (WiderWindow, {"window": (4, 2)}, DTYPES),
    "no-window": (NoWindow, {"window": (4, 2)}, DTYPES),
    "mask-inverted": (MaskInverted, {"mask": "random-bhqk"}, DTYPES),
    "mask-ignored": (MaskIgnored, {"mask": "random-bhqk"}, DTYPES),
    "mask-of-the-first": (MaskOfTheFirstBatchElement, {"mask": "random-b1qk"}, DTYPES),
    "hidden-keys-count": (HiddenKeysCountAsZeroScores, {"mask": "padding"}, DTYPES),
    "heads-tiled": (HeadsTiled, {}, DTYPES),
    "first-key-head": (FirstKeyHeadForAll, {}, DTYPES),
    "empty-rows-as-means": (EmptyRowsAsMeans, {"mask": "empty-rows-b1qk"}, DTYPES),
    "empty-rows-as-nan": (EmptyRowsAsNotANumber, {**CAUSAL, "q_len": 21, "kv_len": 9}, DTYPES),
    "no-cap": (NoCap, {"softcap": 0.5}, DTYPES),
    "cap-after-bias": (CapAfterBias, {"softcap": 0.5, "bias": "normal-1hqk"}, DTYPES),
    "bias-before-scale": (BiasBeforeScale, {"bias": "normal-1hqk"}, DTYPES),
    "no-bias": (NoBias, {"bias": "normal-1hqk"}, DTYPES),
    "not-normalised": (NotNormalised, {}, DTYPES),
    "half-scores": (HalfScores, {"scale": 1.0}, ("float32",)),
    "half-weights": (HalfWeights, {}, ("float32",)),
    "single-scores": (SingleInADoubleProblem, {}, ("float64",)),
    "sixty-four-roundings": (SixtyFourRoundings, {"kv_len": 1}, DTYPES),
    "one-element": (OneElementOff, {}, WIDE),
}


@pytest.mark.parametrize("fault, dtype", [(fault, dtype) for fault, (_, _, dtypes) in FAULTS.items() for dtype in dtypes])
def test_a_planted_fault_is_rejected(fault, dtype):
    computation, fields, _ = FAULTS[fault]
    problem = posed(dtype=dtype, **fields)
    assert judged(LowPrecisionReference, problem).correct
    found = judged(computation, problem)
    assert not found.correct, found


@pytest.mark.parametrize(
    "computation, variation",
    [(NoMaximum, "large-logits"), (OnlineWithoutRescaling, "rising-logits"), (NotNormalised, "offset-values")],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fault_that_only_unusual_arrays_show_is_rejected(computation, variation, dtype):
    # exp overflows float64 from 709: float64 problems need larger scores still.
    problem = posed(dtype=dtype, head_dim=64, scale=1.0) if computation is NoMaximum else posed(dtype=dtype)
    found = judged(computation, problem, variation)
    assert not found.correct, found


# --- gradients ---------------------------------------------------------------------------------------


class LowPrecisionGradients(LowPrecisionReference):
    """dq, dk, dv in the accumulator's dtype; Dao et al. 2022, appendix B.2."""

    def masked_scores(self):
        return np.where(self.allowed(), self.scores(), -np.inf).astype(self.work)

    def row_term(self, p, dp):
        return (p * dp).sum(axis=-1, keepdims=True)

    def slope(self):
        if self.problem.softcap is None:
            return self.work(1)
        return 1 - np.tanh(self.raw_scores() / self.work(self.problem.softcap)) ** 2

    def kept(self, x):
        """What lies in memory between two steps."""
        return x

    def over_the_group(self, per_head):
        b, _, *rest = per_head.shape
        return per_head.reshape(b, self.problem.kv_heads, self.problem.group, *rest).sum(axis=2)

    def outer_scale(self, name):
        return self.scale()

    def __call__(self):
        do = self.inputs.do.astype(self.work)
        p = self.kept(self.weights(self.masked_scores()))
        dp = do @ self.v.swapaxes(-1, -2)
        ds = self.kept(p * (dp - self.row_term(p, dp)) * self.slope())
        dq = self.outer_scale("dq") * (ds @ self.k)
        dk = self.over_the_group(self.outer_scale("dk") * (ds.swapaxes(-1, -2) @ self.q))
        dv = self.over_the_group(p.swapaxes(-1, -2) @ do)
        parts = {"dq": dq, "dk": dk, "dv": dv}
        return {name: part.astype(NUMPY_DTYPES[self.problem.dtype]) for name, part in parts.items()}


class GradientsStoredInBetween(LowPrecisionGradients):
    def kept(self, x):
        return store(x, self.problem)


class GradientsFromTheStoredOutput(LowPrecisionGradients):
    """The row term is do · o, with o as the forward pass returned it, as FlashAttention takes it."""

    def row_term(self, p, dp):
        o = store(p @ self.v, self.problem)
        return (self.inputs.do.astype(self.work) * o).sum(axis=-1, keepdims=True)


class GradientsOfHeadsStored(LowPrecisionGradients):
    """Every query head's share of dk and dv is stored, and the shares are added up in storage."""

    def over_the_group(self, per_head):
        shares = store(per_head, self.problem)
        total = shares[:, :: self.problem.group]
        for n in range(1, self.problem.group):
            total = store(total + shares[:, n :: self.problem.group], self.problem)
        return total


GRADIENT_FEATURES = {
    **{name: fields for name, fields in FEATURES.items() if name not in ("saturated", "very-saturated")},
    "no-groups": {"kv_heads": 4},
    "value-width": {"v_head_dim": 24},
    "softcap-and-bias": {"softcap": 2.0, "bias": "normal-b1qk", "causal": "top-left"},
    # Weights below what the dtype, or float32, can hold in full: they underflow, and that is no fault.
    "small-weights": {"scale": 3.0, "kv_len": 64, "head_dim": 64},
    "vanishing-weights": {"scale": 10.0, "kv_len": 64, "head_dim": 64},
}
GRADIENTS = [LowPrecisionGradients, GradientsStoredInBetween, GradientsFromTheStoredOutput, GradientsOfHeadsStored]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("computation", GRADIENTS)
@pytest.mark.parametrize("feature", GRADIENT_FEATURES)
def test_honest_gradients_are_accepted(dtype, computation, feature):
    found = judged(computation, posed(dtype=dtype, direction="backward", **GRADIENT_FEATURES[feature]))
    assert found.correct, found


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("group", [8, 64, 512])
def test_a_bound_on_gradients_is_finite_however_many_heads_share_a_key(dtype, group):
    problem = Problem(q_heads=group, kv_heads=1, q_len=2, kv_len=3, head_dim=4, dtype=dtype, direction="backward")
    answer = expected(problem, make_inputs(problem))
    assert all(np.isfinite(tensor.bound).all() for tensor in answer.values())
    nothing = {name: np.full(tensor.value.shape, np.nan) for name, tensor in answer.items()}
    assert not accuracy(nothing, answer).correct


@pytest.mark.parametrize("dtype, logit", [("float64", -740), ("float32", -100), ("bfloat16", -100), ("float16", -17.5)])
@pytest.mark.parametrize(
    "direction, computation",
    [
        ("forward", LowPrecisionReference),
        ("forward", StoredInBetween),
        ("backward", LowPrecisionGradients),
        ("backward", GradientsStoredInBetween),
    ],
)
def test_many_weights_may_each_underflow(dtype, logit, direction, computation):
    problem = Problem(q_len=200, kv_len=300, head_dim=4, scale=0.0, bias="normal-k", dtype=dtype, direction=direction)
    inputs = make_inputs(problem)
    bias, v = np.full_like(inputs.bias, logit), np.abs(inputs.v)
    # The first key takes nearly all the weight and gives nothing: what is left is the sum of the least weights.
    bias[0], v[:, :, 0] = 0, 0
    inputs = dataclasses.replace(inputs, bias=bias, v=v)
    found = accuracy(computation(problem, inputs)(), expected(problem, inputs))
    assert found.correct, found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 3.0, 30.0])
def test_no_bound_exceeds_what_any_weights_could_do(dtype, scale):
    problem = posed(dtype=dtype, scale=scale, head_dim=64, kv_heads=4, direction="backward")
    inputs = make_inputs(problem)
    do = np.abs(inputs.do.astype(np.float64)).sum(axis=2, keepdims=True)
    assert (expected(problem, inputs)["dv"].bound <= 1.25 * do).all()
    problem = problem.replace(direction="forward")
    v = inputs.v.astype(np.float64)
    reach = np.ptp(v, axis=2, keepdims=True) + np.abs(v).max(axis=2, keepdims=True) / 4
    assert (expected(problem, make_inputs(problem))["o"].bound <= reach).all()


def lowest(dtype):
    return float(ml_dtypes.finfo(NUMPY_DTYPES[dtype]).min)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("low", [-np.inf, -1e9, -1e4])
def test_a_key_with_a_very_low_bias_gives_no_room_to_a_wrong_answer(dtype, low):
    problem = posed(dtype=dtype, bias="normal-11qk")
    made = make_inputs(problem.replace(direction="backward"), 1)
    bias = np.zeros(problem.bias_shape, made.bias.dtype)
    bias[..., :8] = max(lowest(dtype), low)
    blocking = np.where(bias < 0, -np.inf, 0).astype(bias.dtype)
    for direction in ("forward", "backward"):
        posed_so = problem.replace(direction=direction)
        answer, strict = (expected(posed_so, dataclasses.replace(made, bias=x)) for x in (bias, blocking))
        right = {name: tensor.value.astype(NUMPY_DTYPES[dtype]) for name, tensor in answer.items()}
        assert accuracy(right, answer).correct
        for name, tensor in answer.items():
            assert tensor.bound.max() <= 1.05 * strict[name].bound.max(), name
            assert not accuracy({**right, name: np.zeros_like(right[name])}, answer).correct, name


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_the_lowest_bias_on_every_key_of_a_row_gives_the_mean_and_nothing_else(dtype):
    """In float64, and in everything narrower, nothing is left of the scores beside it."""
    problem = posed(dtype=dtype, bias="normal-11qk")
    inputs = make_inputs(problem, 1)
    inputs = dataclasses.replace(inputs, bias=np.full_like(inputs.bias, lowest(dtype)))
    answer = expected(problem, inputs)
    mean = np.repeat(inputs.v.astype(np.float64), problem.group, axis=1).mean(axis=2, keepdims=True)
    np.testing.assert_allclose(answer["o"].value, np.broadcast_to(mean, problem.o_shape), rtol=1e-12, atol=1e-15)
    assert answer["o"].bound.max() < {"float64": 1e-13, "float32": 1e-4, "bfloat16": 0.1}[dtype]
    assert accuracy(LowPrecisionReference(problem, inputs)(), answer).correct


def test_a_bias_that_swallows_the_scores_of_a_saturated_row_leaves_every_mean_open():
    """Two scores 77 apart are the same beside -1e10 in float32: the right answer there is the mean of both values."""
    problem = Problem(q_len=1, kv_len=2, head_dim=1, scale=1.0, bias="normal-k")
    arrays = {"q": [4.6516571], "k": [-7.2618933, 9.3941574], "v": [0.8611878, -0.4975046], "bias": [-1e10, -1e10]}
    made = make_inputs(problem, 1)
    given = {name: np.array(x, np.float32).reshape(getattr(made, name).shape) for name, x in arrays.items()}
    inputs = dataclasses.replace(made, **given)
    found = LowPrecisionReference(problem, inputs)()
    np.testing.assert_allclose(found["o"], 0.1818416, rtol=1e-6)
    answer = expected(problem, inputs)
    assert accuracy(found, answer).correct
    assert not accuracy({"o": np.full_like(found["o"], 0.9)}, answer).correct


class NoRowTerm(LowPrecisionGradients):
    def row_term(self, p, dp):
        return self.work(0)


class RowTermOfUniformWeights(LowPrecisionGradients):
    def row_term(self, p, dp):
        return dp.mean(axis=-1, keepdims=True)


class KeysNotScaled(LowPrecisionGradients):
    def outer_scale(self, name):
        return self.scale() if name == "dq" else self.work(1)


class ScaledTwice(LowPrecisionGradients):
    def outer_scale(self, name):
        return self.scale() ** 2


class GradientScaleOfOneMore(LowPrecisionGradients):
    def outer_scale(self, name):
        return self.work(1 / np.sqrt(self.problem.head_dim + 1))


class OnlyTheFirstHeadOfAGroup(LowPrecisionGradients):
    def over_the_group(self, per_head):
        return per_head[:, :: self.problem.group]


class MeanOverTheGroup(LowPrecisionGradients):
    def over_the_group(self, per_head):
        return super().over_the_group(per_head) / self.problem.group


class GroupsTiled(LowPrecisionGradients):
    def over_the_group(self, per_head):
        b, _, *rest = per_head.shape
        return per_head.reshape(b, self.problem.group, self.problem.kv_heads, *rest).sum(axis=1)


class NoSlope(LowPrecisionGradients):
    def slope(self):
        return self.work(1)


class MaskForgottenBackward(LowPrecisionGradients):
    def masked_scores(self):
        return self.scores()


class EmptyRowsAreNotANumber(LowPrecisionGradients):
    def masked_scores(self):
        s = super().masked_scores()
        return np.where(np.isneginf(s).all(axis=-1, keepdims=True), np.nan, s)


class EmptyRowsAreUniform(LowPrecisionGradients):
    def weights(self, s):
        empty = np.isneginf(s).all(axis=-1, keepdims=True)
        return np.where(empty, 1 / s.shape[-1], super().weights(s)).astype(self.work)


class TransposedHeads(LowPrecisionGradients):
    """dv from the weights of the head after."""

    def __call__(self):
        parts = super().__call__()
        return {**parts, "dv": parts["dv"][:, ::-1]}


GRADIENT_FAULTS = {
    "no-row-term": (NoRowTerm, {}, DTYPES),
    "row-term-of-uniform-weights": (RowTermOfUniformWeights, {}, DTYPES),
    "keys-not-scaled": (KeysNotScaled, {}, DTYPES),
    "scaled-twice": (ScaledTwice, {}, DTYPES),
    "scale-of-d-plus-one": (GradientScaleOfOneMore, {}, WIDE),
    "only-the-first-head": (OnlyTheFirstHeadOfAGroup, {}, DTYPES),
    "mean-over-the-group": (MeanOverTheGroup, {}, DTYPES),
    "groups-tiled": (GroupsTiled, {}, DTYPES),
    "no-slope": (NoSlope, {"softcap": 1.0}, DTYPES),
    "mask-forgotten": (MaskForgottenBackward, {"causal": "bottom-right"}, DTYPES),
    "empty-rows-as-nan": (EmptyRowsAreNotANumber, {"mask": "empty-rows-b1qk"}, DTYPES),
    "empty-rows-as-means": (EmptyRowsAreUniform, {"mask": "empty-rows-b1qk"}, DTYPES),
    "heads-swapped": (TransposedHeads, {}, DTYPES),
}


@pytest.mark.parametrize(
    "fault, dtype", [(fault, dtype) for fault, (_, _, dtypes) in GRADIENT_FAULTS.items() for dtype in dtypes]
)
def test_a_fault_planted_in_the_gradients_is_rejected(fault, dtype):
    computation, fields, _ = GRADIENT_FAULTS[fault]
    problem = posed(dtype=dtype, direction="backward", **fields)
    assert judged(LowPrecisionGradients, problem).correct
    found = judged(computation, problem)
    assert not found.correct, found
