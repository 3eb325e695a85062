"""A page that shows weights of attention: a heat map for each head, words along both sides."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.tasks.worker.looking import Weights

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem } .heads { display: flex; flex-wrap: wrap; gap: 2rem }
table { border-collapse: collapse; font-size: 11px } caption { text-align: left; padding-bottom: .3rem; font-size: 13px }
td { width: 1.5em; height: 1.5em; padding: 0; border: 1px solid #eee } th { font-weight: normal; padding: 0 .3em }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .3em 0 }
tbody th { text-align: right }
</style></head><body>
<h1>$title</h1>
<p>$said</p>
<p>A row is a query, a column a key; a row's weights sum to one. Dark is much.
The weights are those that $attention computes.</p>
$layers
</body></html>
""")


def page(text: str, said: Sequence[str], attention: str, layers: Sequence[Weights]) -> str:
    """HTML by itself, with nothing to load."""
    sections = "\n".join(
        f'<h2>{escape(one.layer)}</h2><div class="heads">'
        + "".join(_head(number, head, one) for number, head in enumerate(one.weights, 1))
        + "</div>"
        for one in layers
    )
    return _PAGE.substitute(
        title=escape(text), said="<br>".join(map(escape, said)), attention=escape(attention), layers=sections
    )


def _head(number: int, rows: Sequence[Sequence[float]], one: Weights) -> str:
    head = "".join(f'<th scope="col">{escape(word)}</th>' for word in one.keys)
    body = "".join(
        f'<tr><th scope="row">{escape(word)}</th>' + "".join(map(_cell, row)) + "</tr>"
        for word, row in zip(one.queries, rows, strict=True)
    )
    return f"<table><caption>head {number}</caption><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(weight: float) -> str:
    return f'<td style="background: rgba(20, 80, 160, {min(max(weight, 0.0), 1.0):.3f})" title="{weight:.3f}"></td>'
