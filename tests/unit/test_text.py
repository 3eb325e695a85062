"""Text of others, as one line that a terminal, a table and a file can hold."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import describe
from harness.errors.text import MOST, lines, one_line


@pytest.mark.parametrize(
    "text, line",
    [
        ("a\nb\r\n\tc", "a b c"),
        ("0 %\r50 % |##\r90 % |####|", "90 % |####|"),
        ("0 %\r50 %\rdone\nnext", "done next"),
        ("0 %\r50 %\r\r\nnext\r\rlast\r", "50 % last"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07and \x1b[2Jmore", "red and more"),
        ("half \ud800 and \udcff", "half \\ud800 and \\xff"),
        ("\u202eesrever numpy\u200b", "esrever numpy"),
        ("nul\0byte\x7f", "nulbyte"),
        ("注意力机制 ± µ", "注意力机制 ± µ"),
        ("a | b [red]c[/red]", "a | b [red]c[/red]"),
        ("\u2028\u2029", ""),
    ],
)
def test_one_line(text, line):
    assert one_line(text) == line


def test_the_ends_of_long_text_are_kept():
    line = one_line("begin " + "x" * 10_000 + " end")
    assert len(line) <= MOST and line.startswith("begin") and line.endswith("end")


@pytest.mark.parametrize("piece", ["long words ", "x", "\r", "a\r", "\x1b[0", "\x1bP", "\x1b]", "\x1b ", "\x1b[ "])
def test_a_million_characters_are_no_more_work_than_they_are_long(piece):
    text = piece * (10**6 // len(piece))  # It took hours when the work grew with the square of the length.
    assert len(one_line(text)) <= MOST and len(list(lines(text + "\nend"))) <= 2


@given(st.text(st.characters(codec=None)))
def test_whatever_comes_is_printable_and_utf8(text):
    line = one_line(text)
    line.encode()
    assert len(line) <= MOST and "\n" not in line
    assert not {unicodedata.category(letter) for letter in line} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert list(lines(line)) in ([line], [])


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


class NotText(Exception):
    def __str__(self):
        return 3


@pytest.mark.parametrize("error", [Mute(), NotText(), ValueError(), KeyboardInterrupt()])
def test_an_exception_without_words_is_called_by_its_type(error):
    assert describe(error) == type(error).__name__
