"""The cases: which problems, with which arrays, under which check. Data only; what is done with them is in `verdict`.

A case is small unless its point is to be large, so that plain Python and a simulated GPU can run it. Values around 16, 18
and 21 lie across the edges of small tiles, 127 to 300 across those of large ones.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.problem import CAUSAL, DTYPES, Problem

SIMULATED_ELEMENTS, SIMULATED_CORE_ELEMENTS = 300, 900
"""Score elements up to which any case, and a core case, is run in the CUDA simulator: it takes milliseconds for each."""


@dataclass(frozen=True)
class Case:
    """One conformance case."""

    chapter: str
    name: str
    problem: Problem
    inputs: str = "normal"
    """A variation of `conformance.inputs`."""
    check: str = "values"
    """"values", "repeat" (two calls are equal) or "alternate" (a call of another shape in between changes nothing)."""
    core: bool = False
    """Whether implementations that compile for seconds at every shape run it too."""
    seed: int = 11

    @property
    def id(self) -> str:
        """What `--case` takes, such as "causal/bottom-right-q21k18"."""
        return f"{self.chapter}/{self.name}"


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case, chapter by chapter; ids are unique."""
    return tuple(
        case
        for chapter in (
            _values, _shapes, _causal, _window, _mask, _bias, _empty_rows, _grouped_heads, _softcap, _scale,
            _composition, _logits, _arrays, _calls, _gradients,
        )
        for case in chapter()
    )  # fmt: skip


def select(*, slow_build: bool = False, simulated: bool = False, full: bool = False) -> list[Case]:
    """The cases for an implementation: the core ones where every shape is compiled for seconds, unless `full`."""
    return [
        case
        for case in all_cases()
        if (full or not slow_build or case.core)
        and (not simulated or case.problem.score_elements <= (SIMULATED_CORE_ELEMENTS if case.core else SIMULATED_ELEMENTS))
    ]


def _problem(**fields: Any) -> Problem:
    """A small problem across the edges of 16-wide tiles, with some fields changed."""
    return Problem(**{"batch": 1, "q_heads": 2, "q_len": 18, "kv_len": 21, "head_dim": 16, **fields})


def _values() -> Iterator[Case]:
    for dtype in DTYPES:
        yield Case("values", dtype, _problem(dtype=dtype), core=dtype != "float64")
        yield Case("values", f"long-{dtype}", _problem(q_len=130, kv_len=300, head_dim=64, dtype=dtype))


def _shapes() -> Iterator[Case]:
    for q_len, kv_len in ((1, 1), (1, 7), (3, 5), (5, 3), (16, 16), (127, 129), (129, 127), (1, 257), (257, 1)):
        core = (q_len, kv_len) in ((1, 7), (129, 127))
        yield Case("shapes", f"q{q_len}k{kv_len}", _problem(q_len=q_len, kv_len=kv_len), core=core)
    for q_len, kv_len, batch in ((0, 5, 1), (5, 0, 1), (5, 5, 0)):
        problem = _problem(q_len=q_len, kv_len=kv_len, batch=batch)
        yield Case("shapes", f"empty-b{batch}q{q_len}k{kv_len}", problem)
    for head_dim in (1, 8, 40, 59, 64, 111, 128, 256):
        yield Case("shapes", f"d{head_dim}", _problem(head_dim=head_dim), core=head_dim == 59)
    for head_dim, v_head_dim in ((16, 24), (24, 8)):
        problem = _problem(head_dim=head_dim, v_head_dim=v_head_dim)
        yield Case("shapes", f"d{head_dim}v{v_head_dim}", problem, core=head_dim == 16)
    for batch, heads in ((1, 1), (3, 1), (1, 5), (3, 5)):
        problem = _problem(batch=batch, q_heads=heads, q_len=7, kv_len=8)
        yield Case("shapes", f"b{batch}h{heads}", problem, core=batch == heads == 3)


def _causal() -> Iterator[Case]:
    for alignment in CAUSAL:
        for q_len, kv_len in ((18, 21), (21, 18), (20, 20), (1, 33), (33, 1), (130, 200), (200, 130)):
            problem = _problem(q_len=q_len, kv_len=kv_len, causal=alignment)
            core = (q_len, kv_len) in ((18, 21), (21, 18))
            yield Case("causal", f"{alignment}-q{q_len}k{kv_len}", problem, core=core)


def _window() -> Iterator[Case]:
    for left, right in ((3, 0), (0, 3), (4, 2), (-1, 2), (2, -1), (0, 0)):
        for causal in (None, *CAUSAL):
            for q_len, kv_len in ((18, 21), (21, 18)):
                problem = _problem(q_len=q_len, kv_len=kv_len, window=(left, right), causal=causal)
                name = f"{left}_{right}-{causal or 'full'}-q{q_len}k{kv_len}"
                yield Case("window", name, problem, core=(left, right, causal) == (4, 2, "bottom-right"))
    yield Case("window", "long", _problem(q_len=200, kv_len=300, window=(70, 20), causal="bottom-right"))


_FORMS = ("bhqk", "b1qk", "1hqk", "11qk", "b11k", "bh1k", "hqk", "qk", "k", "bhq1")


def _mask() -> Iterator[Case]:
    for form in _FORMS:
        problem = _problem(batch=2, q_len=11, mask=f"random-{form}")
        yield Case("mask", form, problem, core=form in ("b1qk", "qk"))
    yield Case("mask", "padding", _problem(batch=2, q_len=11, mask="padding"), core=True)
    yield Case("mask", "padding-long", _problem(batch=3, q_len=70, kv_len=140, mask="padding"))
    yield Case("mask", "long", _problem(q_len=130, kv_len=300, mask="random-b1qk"))


def _bias() -> Iterator[Case]:
    for form in _FORMS:
        problem = _problem(batch=2, q_len=11, bias=f"normal-{form}")
        yield Case("bias", form, problem, core=form in ("1hqk", "k"))
    for form in ("bhqk", "11qk", "k"):
        problem = _problem(batch=2, q_len=11, bias=f"blocking-{form}")
        yield Case("bias", f"blocking-{form}", problem, core=form == "11qk")
    yield Case("bias", "long", _problem(q_len=130, kv_len=300, bias="blocking-1hqk"))


def _empty_rows() -> Iterator[Case]:
    for form in ("bhqk", "b1qk", "qk", "bhq1"):
        problem = _problem(mask=f"empty-rows-{form}")
        yield Case("empty-rows", f"mask-{form}", problem, core=form == "b1qk")
    yield Case("empty-rows", "causal", _problem(q_len=21, kv_len=9, causal="bottom-right"), core=True)
    yield Case("empty-rows", "window", _problem(q_len=25, kv_len=9, window=(3, 0)))
    yield Case("empty-rows", "mask-and-causal", _problem(q_len=21, kv_len=18, causal="bottom-right", mask="empty-rows-qk"))
    for dtype in ("float16", "bfloat16"):
        yield Case("empty-rows", dtype, _problem(mask="empty-rows-b1qk", dtype=dtype), core=dtype == "float16")


def _grouped_heads() -> Iterator[Case]:
    for q_heads, kv_heads in ((4, 2), (4, 1), (6, 3), (6, 2)):
        problem = _problem(batch=2, q_heads=q_heads, kv_heads=kv_heads, q_len=7, kv_len=9)
        yield Case("grouped-heads", f"h{q_heads}kv{kv_heads}", problem, core=kv_heads == 3)
        varied = problem.replace(causal="bottom-right", mask="random-bhqk", bias="normal-1hqk")
        yield Case("grouped-heads", f"h{q_heads}kv{kv_heads}-masked", varied, core=kv_heads == 2 and q_heads == 6)


def _softcap() -> Iterator[Case]:
    for cap in (0.5, 5.0, 50.0):
        yield Case("softcap", f"{cap:g}", _problem(softcap=cap), core=cap == 0.5)
    problem = _problem(softcap=0.5, mask="random-b1qk", bias="normal-1hqk", causal="top-left")
    yield Case("softcap", "before-mask-and-bias", problem, core=True)
    yield Case("softcap", "large-logits", _problem(softcap=30.0), inputs="large-logits")


def _scale() -> Iterator[Case]:
    for scale in (1.0, 0.01, -0.3, 0.0):
        yield Case("scale", f"{scale:g}", _problem(scale=scale), core=scale == -0.3)


def _composition() -> Iterator[Case]:
    """Every pair of features, and all of them at once."""
    features: dict[str, dict[str, Any]] = {
        "causal": {"causal": "bottom-right"},
        "window": {"window": (6, 3)},
        "mask": {"mask": "random-b1qk"},
        "bias": {"bias": "blocking-1hqk"},
        "grouped": {"q_heads": 4, "kv_heads": 2, "q_len": 9},
        "softcap": {"softcap": 1.5},
        "scale": {"scale": -0.5},
        "v-width": {"v_head_dim": 24},
    }
    names = list(features)
    for n, first in enumerate(names):
        for second in names[n + 1 :]:
            yield Case("composition", f"{first}+{second}", _problem(**features[first], **features[second]))
    everything = {key: value for fields in features.values() for key, value in fields.items()}
    yield Case("composition", "all", _problem(**everything), core=True)
    yield Case("composition", "all-long", _problem(**{**everything, "q_len": 150, "kv_len": 260}))
    narrow = {key: value for key, value in everything.items() if key not in ("v_head_dim", "softcap")}
    yield Case("composition", "all-but-softcap-and-v-width", _problem(**narrow), core=True)
    yield Case("composition", "all-but-softcap-and-v-width-bfloat16", _problem(**narrow, dtype="bfloat16"), core=True)


def _logits() -> Iterator[Case]:
    for variation in ("large-logits", "tiny-logits", "rising-logits", "offset-values"):
        core = variation in ("large-logits", "rising-logits")
        yield Case("logits", variation, _problem(), inputs=variation, core=core)
        yield Case("logits", f"{variation}-long", _problem(q_len=70, kv_len=300), inputs=variation)
    yield Case("logits", "large-logits-float16", _problem(dtype="float16"), inputs="large-logits")
    yield Case("logits", "large-logits-masked", _problem(mask="random-b1qk"), inputs="large-logits", core=True)


def _arrays() -> Iterator[Case]:
    for variation in ("strided", "read-only"):
        problem = _problem(batch=2, q_len=11, mask="random-b1qk")
        yield Case("arrays", variation, problem, inputs=variation, core=True)


def _calls() -> Iterator[Case]:
    yield Case("calls", "repeat", _problem(q_len=21), check="repeat", core=True)
    yield Case("calls", "repeat-long", _problem(q_len=130, kv_len=300, head_dim=64, causal="top-left"), check="repeat")
    yield Case("calls", "alternate", _problem(), check="alternate", core=True)


def _gradients() -> Iterator[Case]:
    features: dict[str, dict[str, Any]] = {
        "plain": {},
        "long": {"q_len": 130, "kv_len": 150, "head_dim": 32},
        "top-left": {"causal": "top-left"},
        "bottom-right": {"causal": "bottom-right"},
        "bottom-right-empty": {"causal": "bottom-right", "q_len": 21, "kv_len": 18},
        "window": {"window": (4, 2)},
        "mask": {"mask": "random-b1qk"},
        "empty-rows": {"mask": "empty-rows-b1qk"},
        "bias": {"bias": "blocking-1hqk"},
        "grouped": {"q_heads": 4, "kv_heads": 2, "q_len": 9},
        "softcap": {"softcap": 1.5},
        "v-width": {"v_head_dim": 24},
        "scale": {"scale": -0.5},
        "no-keys": {"kv_len": 0},
        "float64": {"dtype": "float64"},
        "bfloat16": {"dtype": "bfloat16"},
        "float16": {"dtype": "float16"},
        "grouped-bfloat16": {"q_heads": 4, "kv_heads": 2, "q_len": 9, "dtype": "bfloat16"},
    }
    core = ("plain", "bottom-right-empty", "empty-rows", "grouped", "bfloat16")
    for name, fields in features.items():
        yield Case("gradients", name, _problem(**fields, direction="backward"), core=name in core)
