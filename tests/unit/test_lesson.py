"""The lesson quotes the sources as they are, in both languages, and its figures are the program's."""

import re
import textwrap

import pytest

from docs.generate import lesson
from docs.generate.pages import ROOT, between

PAGES = [lesson.PAGE, lesson.CHINESE]

QUOTE = re.compile(r"<!-- (\S+\.py) -->\n```python\n(.*?)\n```", re.DOTALL)


def quotes(page):
    """(file, text) of every quotation, in order."""
    return QUOTE.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_lines_are_lines_of_the_sources(page):
    for file, quoted in quotes(page):
        source, wanted = (ROOT / file).read_text(encoding="utf-8").splitlines(), quoted.splitlines()
        places = (source[n : n + len(wanted)] for n in range(len(source)))
        assert any(textwrap.dedent("\n".join(lines)) == quoted for lines in places), f"{file} has no lines\n{quoted}"


def test_no_code_is_quoted_without_its_source_and_both_pages_quote_the_same():
    english, chinese = (quotes(page) for page in PAGES)
    assert english == chinese
    assert {file for file, _ in english} == {
        "impls/attention/naive.py", "impls/attention/numpy_formula.py", "impls/multi_head/numpy_layer.py",
        "impls/multi_head/article.py",
    }  # fmt: skip
    for page in PAGES:
        assert page.read_text(encoding="utf-8").count("```python") == len(english)


def test_tables_are_what_the_program_measures():
    for page, text in lesson.pages().items():
        assert page.read_text(encoding="utf-8") == text, "write the tables anew: python -m docs.generate.lesson"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_there_are_twenty_deviations_and_the_text_speaks_of_each(page):
    numbers = [f"F{n:02d}" for n in range(1, 21)]
    table, repairs = between(page, "deviations"), between(page, "repairs")
    assert re.findall(r"^\| (F\d\d) \|", table, re.MULTILINE) == numbers
    prose = page.read_text(encoding="utf-8").replace(table, "").replace(repairs, "")
    assert sorted({*re.findall(r"F\d\d", prose)}) == numbers
    assert [*lesson.IN_CHINESE] == numbers


def test_repairs_end_with_a_right_layer_and_none_before():
    *wrong, last = lesson.repairs()
    assert last == "" and all(float(error) > 0.1 for error in wrong)
