"""Text that others have made: messages of exceptions, what a process prints, names, paths. Cleaned once, where it enters.

What is cleaned is one line that a terminal, a table and a file in UTF-8 can hold. What has a meaning in one of them only,
such as a pipe in Markdown or brackets in a terminal, is quoted there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

MOST = 500
"""Characters of a reason. The middle of a longer one is left out: libraries say what is wrong first or last."""

LONGEST = 2**14
"""Characters of the beginning, and of the end, that are looked at: libraries put whole programs into messages."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_].*?(?:\x1b\\|$)"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
"""What a terminal takes for a command (ECMA-48)."""

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of Unicode that are no text: controls, directions, halves of surrogate pairs, what has no meaning."""


def one_line(text: str, most: int = MOST) -> str:
    """Text as one line without anything that is none; "" where nothing is left."""
    if len(text) > 2 * LONGEST:
        text = f"{text[:LONGEST]} … {text[-LONGEST:]}"
    return _shortened(" ".join(" ".join(lines(text)).split()), most)


def lines(text: str) -> Iterator[str]:
    """The lines of a text, as a terminal would show them in the end."""
    shown = "\n".join(_last_state(line) for line in _ESCAPES.sub("", text).split("\n"))
    for line in shown.splitlines():
        yield "".join(" " if letter == "\t" else _seen(letter) for letter in line).rstrip()


def _last_state(line: str) -> str:
    """Of a progress bar, what no carriage return has a terminal write over."""
    return line.rstrip("\r").rpartition("\r")[2]


def _seen(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Cs":  # Half a character: a byte of a name that is not UTF-8, or half of a pair.
        code = ord(letter)
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
    return "" if category in _UNSEEN else letter


def _shortened(text: str, most: int) -> str:
    """Text of so many characters at most."""
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def said_by(error: BaseException) -> str:
    """The message of an exception as one line, whatever its `__str__` does."""
    try:
        return one_line(str(error))
    except Exception:  # A message that cannot be had is none.
        return ""
