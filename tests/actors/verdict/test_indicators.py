"""The specification's patterns, counted in linear time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.verdict import LoginReason, LoginState, Strength
from greenroom.actors.verdict.indicators import (
    LOGGED_IN_INDICATORS,
    LOGGED_OUT_INDICATORS,
    MAX_CHARS,
    MAX_COUNT,
    count_pattern,
    count_words,
)

PARTS = [
    "sign",
    "out",
    "in",
    "log",
    "user",
    "avatar",
    "account",
    "create",
    "join",
    "tiktok",
    "button",
    "\n",
    " ",
]


def test_indicators_are_those_of_the_specification() -> None:
    """The specification prescribes the patterns, and we must not change them."""
    assert LOGGED_IN_INDICATORS == (
        "profile-avatar", "user.*avatar", "logged.*in", "sign.*out", "log.*out", "account", "notification",
        "message", "inbox",
    )  # fmt: skip
    assert LOGGED_OUT_INDICATORS == (
        "login.*button", "sign.*in", "log.*in", "register", "create.*account", "join.*tiktok",
    )  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_counts_are_those_of_regular_expressions(text: str) -> None:
    """The linear count finds exactly as many matches as Python's `re` does."""
    for pattern in (*LOGGED_IN_INDICATORS, *LOGGED_OUT_INDICATORS):
        assert count_pattern(pattern, text) == len(re.findall(pattern, text))


@pytest.mark.parametrize(
    ("text", "state", "count"),
    [
        ("INBOX and Sign me OUT", LoginState.LOGGED_IN, 2),
        ("register", LoginState.LOGGED_OUT, 1),
        ("inbox register", LoginState.UNCERTAIN, 0),
        ("", LoginState.UNCERTAIN, 0),
        ("inbox " * MAX_COUNT * 2, LoginState.LOGGED_IN, MAX_COUNT),
        (" " * MAX_CHARS + "inbox", LoginState.UNCERTAIN, 0),
    ],
)
def test_words_lean_to_the_majority(text: str, state: LoginState, count: int) -> None:
    """Words only lean to a side, in any case, and always have the weakest strength."""
    words = count_words(text)
    assert (words.points_to, words.count) == (state, count)
    assert (words.strength, words.reason) == (Strength.WORDS, LoginReason.NOTHING_FOUND)


def test_long_minified_line_takes_linear_time() -> None:
    """A line on which the regular expressions backtrack for minutes is counted in well under a second."""
    started = time.thread_time()
    count_words("sign user log create join " * 200_000)
    assert time.thread_time() - started < 1
