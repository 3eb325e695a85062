"""The tables of docs/lesson.md and docs/lesson.zh.md, measured: `python -m docs.generate.lesson`; a minute.

Each deviation of the article's layer is the fault of tests/faults/article.py of the same number, and the error is that on
the first problem of the preset `article` on which it is wrong.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from docs.generate.pages import ROOT, write, written
from harness.conformance.cases import all_cases
from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.multi_head import MULTI_HEAD, Problem
from harness.operators import checks
from harness.runs.presets import built_in
from tests.faults import article
from tests.faults.faulty import DECLARED, Fault, as_implementation
from tests.faults.judging import verdict_on
from tests.faults.multi_head import Layer

PAGE, CHINESE = ROOT / "docs" / "lesson.md", ROOT / "docs" / "lesson.zh.md"
SEED = 0

NUMBER = re.compile(r"(F\d\d): (.*)")

IN_CHINESE = {
    "F01": "`bias=False` 不是 Dense 的参数名,层根本建不起来;若把报错绕过去,输出层就多出一个偏置",
    "F02": "W^Q、W^K、W^V 建好了却从未调用,被切成多头的是原始输入",
    "F03": "用 `reshape(-1, heads, depth)` 切分多头,整个批次的位置混成了一条序列",
    "F04": "分数的形状是 (batch · length, heads, heads):是同一位置的各个头在互相注意",
    "F05": "分数没有缩放",
    "F06": "算出了缩放后的 k,打分时用的却是没缩放的那个",
    "F07": "该除以 √d 的地方乘了 √d",
    "F08": "缩放用的是整层的宽度,而不是一个头的宽度",
    "F09": "投影到一种宽度,切分时按另一种宽度,行数就对不上(这里少一半,以零补齐)",
    "F10": "合并多头时直接 reshape,没有先把头的轴移回去",
    "F11": "输出是 (batch · length, width),丢了批次轴",
    "F12": "交叉注意力时长度对不上 reshape,于是 y 被截断或重复到 x 的长度",
    "F13": "掩码套在分数中凑巧对得上的轴上:批次的掩码落到了头上",
    "F14": "1 表示屏蔽,与 PyTorch、JAX、Keras、ONNX 相反",
    "F15": "加上 mask · -1e9:什么都看不到的位置,得到的是它不该看的那些值的平均",
    "F16": "-1e9 在 float16 中就是 -inf,整行都被屏蔽时结果是 nan",
    "F17": "布尔掩码被当成数字,按 0 和 1 加到分数上",
    "F18": "没有检查头数能否整除宽度:向下取整之后,有几列被悄悄丢掉",
    "F19": "参数顺序是 (v, k, q),传进去的却是 (q, k, v):查询来自 y,值来自 x",
    "F20": "没有因果标志、窗口和分组;要求了也不做,而且一声不吭",
}


class Measured(NamedTuple):
    """What a wrong layer gives on one problem."""

    problem: str
    effect: str
    """Its largest error, or what is wrong with the form of its output; in words of both pages."""


def deviations() -> Iterator[tuple[str, Fault]]:
    """(number, fault), F01 to F20."""
    for fault in DECLARED.values():
        if fault.subject is article:
            yield NUMBER.fullmatch(fault.sentence)[1], fault


@functools.cache
def measured(subject: type) -> Measured:
    """The first problem of the preset on which a layer is wrong, and how wrong."""
    implementation = as_implementation(subject.__name__, subject)
    for problem in built_in("article", MULTI_HEAD).problems:
        if not subject.supports.unsupported_reasons(problem) and (effect := error(implementation, problem)):
            return Measured(problem.name, effect)
    raise ValueError(f"{subject.__name__} is right on every problem of the preset")


def error(implementation, problem: Problem) -> str:
    """The largest error of an implementation; "" where it is right."""
    inputs = MULTI_HEAD.inputs(problem, SEED)
    parameters = {name: a for name, a in inputs.items() if name in MULTI_HEAD.parameters}
    others = {name: a for name, a in inputs.items() if name not in parameters}
    out = implementation.factory(problem)(**parameters)(**others)
    if out.shape != problem.out_shape:
        return f"{out.shape} ≠ {problem.out_shape}"
    found = checks.accuracy({"out": out}, MULTI_HEAD.expected(problem, inputs, SEED))
    if found.correct:
        return ""
    return "nan" if np.isnan(out.astype(np.float64)).any() else f"{found.max_abs_error:.2g}"


@functools.cache
def caught(subject: type) -> Verdict:
    """The first verdict of the suite that a layer is incorrect."""
    return next(v for case in all_cases(MULTI_HEAD) if (v := verdict_on(case, subject)).status is Status.INCORRECT)


def table(chinese: bool) -> str:
    """A line for each deviation."""
    head = ("", "偏差", "问题", "最大误差", "抓住它的用例", "套件的判断") if chinese else (
        "", "what is wrong", "problem", "largest error", "caught by", "what the suite says"
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|---|"]
    for number, fault in deviations():
        shown, verdict = measured(fault.subject_class), caught(fault.subject_class)
        said = verdict.cause.text.partition(". ")[0].rstrip(".") if verdict.cause and verdict.cause.text else verdict.reason
        sentence = IN_CHINESE[number] if chinese else NUMBER.fullmatch(fault.sentence)[2]
        cells = (number, sentence, f"`{shown.problem}`", shown.effect, f"`{verdict.case.id}`", _rounded(said))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _rounded(said: str) -> str:
    """Figures to two places, the same on every machine."""
    return re.sub(r"\d+\.\d+(e[+-]?\d+)?", lambda number: f"{float(number[0]):.2g}", said)


class _Whole(Layer):
    """The article's layer with its output in shape: no projections, no transpose, no scale; step by step they come back."""

    repaired: tuple[str, ...] = ()

    def projected(self, letter, x):
        return super().projected(letter, x) if "projections" in self.repaired else x

    def split(self, flat, heads):
        if "split" in self.repaired:
            return super().split(flat, heads)
        return flat.reshape(-1, 1, heads, flat.shape[-1] // heads)

    def merge(self, o):
        if "merge" in self.repaired:
            return super().merge(o)
        return o.reshape(self.problem.batch, self.problem.q_len, -1)

    def seen(self, mask):
        return super().seen(mask) if "split" in self.repaired else np.True_

    def scale(self):
        return super().scale() if "scale" in self.repaired else 1.0


STEPS = {
    "": ("as it stands, its output in shape", "原样,只把输出的形状改对"),
    "projections": ("+ the three projections are applied (F02)", "+ 应用三个投影(F02)"),
    "split": ("+ split into heads with a transpose (F03, F04)", "+ 切分多头时转置(F03、F04)"),
    "merge": ("+ merged with a transpose (F10)", "+ 合并多头时转置(F10)"),
    "scale": ("+ scores divided by √d (F05)", "+ 分数除以 √d(F05)"),
}
"""What is repaired, one after the other."""


def repairs() -> list[str]:
    """The largest error after each repair, on the first problem; "" where it is within the bound."""
    problem = built_in("article", MULTI_HEAD).problems[0]
    kinds = (type("Whole", (_Whole,), {"repaired": tuple(STEPS)[: n + 1]}) for n in range(len(STEPS)))
    return [error(as_implementation("whole", kind), problem) for kind in kinds]


def repaired(chinese: bool) -> str:
    """A line for each repair."""
    head = "| 修到这一步 | 最大误差 |" if chinese else "| repaired up to here | largest error |"
    within = "在允许误差之内" if chinese else "within its bound"
    rows = [f"| {words[chinese]} | {found or within} |" for words, found in zip(STEPS.values(), repairs(), strict=True)]
    return "\n".join([head, "|---|---|", *rows])


def pages() -> dict[Path, str]:
    """Both pages as they should be."""
    return {
        page: written(page, {"deviations": table(chinese), "repairs": repaired(chinese)})
        for page, chinese in ((PAGE, False), (CHINESE, True))
    }


if __name__ == "__main__":
    write(pages())
