"""The login verdict: the specification's rule on HTML, the selectors, and the order of asking."""

import re
import time
from collections.abc import Mapping

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.errors import BrowserLost
from actors.testing import FakeBrowser, FakeWorld
from actors.verdict import (
    LOGGED_IN_INDICATORS,
    LOGGED_OUT_INDICATORS,
    Finding,
    LoginDetector,
    LoginState,
    Method,
    analyse_html,
    judge_elements,
)

WORDS = [
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
    "x",
]


@pytest.mark.parametrize(
    ("html", "state"),
    [
        ('<img data-e2e="profile-avatar">', LoginState.LOGGED_IN),
        ("<a>Inbox</a> <a>SIGN me OUT</a>", LoginState.LOGGED_IN),
        ('<button class="login-button">', LoginState.LOGGED_OUT),
        ("<p>Register to join the fun on TikTok</p>", LoginState.LOGGED_OUT),
        ("<p>inbox</p>\n<p>register</p>", LoginState.UNCERTAIN),
        ("", LoginState.UNCERTAIN),
        ("\0<<<>>>\ud800", LoginState.UNCERTAIN),
    ],
)
def test_html_is_judged_by_the_majority_of_indicators(html: str, state: LoginState) -> None:
    """More indicators of one kind decide, whatever their case; as many of both leave it open."""
    assert analyse_html(html).state is state


def test_indicators_are_those_of_the_specification() -> None:
    """The patterns are given, and are not ours to change."""
    assert LOGGED_IN_INDICATORS == (
        "profile-avatar", "user.*avatar", "logged.*in", "sign.*out", "log.*out", "account", "notification",
        "message", "inbox",
    )  # fmt: skip
    assert LOGGED_OUT_INDICATORS == (
        "login.*button", "sign.*in", "log.*in", "register", "create.*account", "join.*tiktok",
    )  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_counts_are_those_of_regular_expressions(html: str) -> None:
    """The linear count finds exactly as many matches as Python's `re` does."""
    counted = dict(analyse_html(html).indicators)
    for pattern in (*LOGGED_IN_INDICATORS, *LOGGED_OUT_INDICATORS):
        assert counted.get(pattern, 0) == len(re.findall(pattern, html, re.IGNORECASE))


def test_long_minified_line_takes_linear_time() -> None:
    """A line on which the regular expressions backtrack for minutes is judged in well under a second."""
    started = time.perf_counter()
    analyse_html("sign user log create join " * 200_000)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("matches", "state"),
    [
        ({"logged_in": 1, "logged_out": 0, "uncertain": 1}, LoginState.LOGGED_IN),
        ({"logged_in": 0, "logged_out": 2}, LoginState.LOGGED_OUT),
        ({"logged_in": 1, "logged_out": 1}, LoginState.UNCERTAIN),
        ({"uncertain": 1}, LoginState.UNCERTAIN),
    ],
)
def test_selectors_decide_when_only_one_kind_matches(matches: dict[str, int], state: LoginState) -> None:
    """Both kinds of elements on a page contradict each other, and neither proves nothing."""
    assert judge_elements(matches).state is state


@attrs.define
class Page:
    """A page whose methods find what is scripted, one list a look; each look takes `inspect_s`."""

    looks: list[dict[Method, LoginState]]
    inspect_s: float = 0
    refreshes: int = 0
    asked: list[Method] = attrs.field(factory=list)

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        assert selectors == {"logged_in": "x"}
        self.asked.append(method)
        await trio.sleep(self.inspect_s)
        return Finding(method=method, state=self.looks[self.refreshes].get(method, LoginState.UNCERTAIN))

    async def refresh(self) -> None:
        self.refreshes += 1


def detector(**changes: float) -> LoginDetector:
    return attrs.evolve(
        LoginDetector(timeout_s=8, retries=1, selectors={"logged_in": "x"}),
        **changes,  # type: ignore[arg-type]
    )


async def test_first_conclusive_method_ends_the_asking(autojump_clock: MockClock) -> None:
    """What the HTML shows needs no look at the DOM."""
    page = Page([{Method.HTML: LoginState.LOGGED_OUT, Method.DOM: LoginState.LOGGED_IN}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.method, verdict.tries) == (LoginState.LOGGED_OUT, Method.HTML, 1)
    assert page.asked == [Method.HTML]


async def test_inconclusive_html_leaves_it_to_the_dom(autojump_clock: MockClock) -> None:
    """The method that decides is the one that the verdict names."""
    page = Page([{Method.DOM: LoginState.LOGGED_IN}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.method) == (LoginState.LOGGED_IN, Method.DOM)
    assert [finding.method for finding in verdict.findings] == [Method.HTML, Method.DOM]


async def test_nothing_conclusive_is_tried_again_on_a_refreshed_page(autojump_clock: MockClock) -> None:
    """A retry looks at a fresh page, by all methods."""
    page = Page([{}, {Method.HTML: LoginState.LOGGED_IN}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.tries, page.refreshes) == (LoginState.LOGGED_IN, 2, 1)
    assert page.asked == [Method.HTML, Method.DOM, Method.API, Method.HTML]


async def test_no_conclusion_after_all_tries_is_uncertain(autojump_clock: MockClock) -> None:
    """Running out of tries is said as what it is, under the default method's name."""
    page = Page([{}, {}, {}])
    verdict = await detector(retries=2).judge(page)
    assert (verdict.state, verdict.method, verdict.tries) == (LoginState.UNCERTAIN, Method.HTML, 3)


async def test_page_that_never_answers_costs_its_tries_and_no_more(autojump_clock: MockClock) -> None:
    """A try is cut off at its limit and the next one begins."""
    page = Page([{}, {}], inspect_s=1000)
    verdict = await detector(timeout_s=8).judge(page)
    assert trio.current_time() == 16
    assert (verdict.state, verdict.elapsed_ms) == (LoginState.UNCERTAIN, 16_000)


async def test_lost_browser_is_no_verdict(autojump_clock: MockClock) -> None:
    """An error of the browser comes out as itself."""
    browser = FakeBrowser(world=FakeWorld())
    browser.crash()
    with pytest.raises(BrowserLost):
        await detector().judge(browser)
