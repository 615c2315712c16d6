"""The one function through which words of files go, and its small neighbours."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nccli.text import file_size, group_name, is_seven_bit, plural, shortlist, visible

# Everything that a terminal, or a reader, might obey: controls, formats, surrogates, separators.
OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.characters()))
def test_nothing_that_is_obeyed_comes_through(text):
    shown = visible(text)
    assert not {unicodedata.category(character) for character in shown} & OBEYED
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown


@given(st.text(st.characters(exclude_categories=(*OBEYED, "Zs"))))
def test_what_is_harmless_stays_as_it_is(text):
    assert visible(text) == text


@given(st.binary())
def test_any_file_name_can_be_shown_and_written(name):
    shown = visible(name.decode("utf-8", "surrogateescape"))
    assert shown.encode("utf-8").decode("utf-8") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("é λ 漢", "é λ 漢"),
        (7, "7"),
    ],
)
def test_what_is_not_printable_is_its_escape(text, shown):
    assert visible(text) == shown


def test_numbers_and_lists_for_people():
    assert plural(1, "file") == "1 file"
    assert plural(2000, "file") == "2,000 files"
    assert plural(2, "class", "classes") == "2 classes"
    assert [file_size(size) for size in (0, 999, 1_234_567, 10**18)] == [
        "0 B",
        "999 B",
        "1.23 MB",
        "1e+06 TB",
    ]
    assert shortlist([1, 2, 3]) == "1, 2, 3"
    assert shortlist(list(range(9)), limit=2) == "0, 1 and 7 more"


def test_groups_are_named_by_loss_and_smoothing():
    assert group_name(None, None) == group_name(" ", 0.1) == "unknown loss"
    assert group_name("cross-entropy", 0.0) == group_name(None, 0.0) == "CE"
    assert group_name("label-smoothing", 0.05) == group_name(None, 0.05) == "LS 0.05"
    assert group_name("label-smoothing", None) == "LS"
    assert group_name("focal", None) == "focal"


def test_a_terminal_of_seven_bits_is_asked_for_or_has_no_other():
    assert is_seven_bit({"LC_ALL": "C"}, "utf-8")
    assert is_seven_bit({}, None)
    assert not is_seven_bit({"LANG": "en_GB.UTF-8"}, "utf-8")
