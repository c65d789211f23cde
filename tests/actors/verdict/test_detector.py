"""The order of the methods, and the results of several tries."""

from collections.abc import Mapping, Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.errors import BrowserLost
from greenroom.actors.verdict import Evidence, Finding, LoginReason, Method
from greenroom.actors.verdict.detector import LoginDetector
from tests.actors.verdict.builders import (
    ABSENT,
    BUTTON,
    CHALLENGE,
    CONTROLS,
    CUT_SHORT,
    FLAG_IN,
    FLAG_OUT,
    LOGGED_IN,
    LOGGED_OUT,
    SEEN,
    SEEN_BY_API,
    UNCERTAIN,
)

ALL = [Method.HTML, Method.DOM, Method.API]
Look = Mapping[Method, Sequence[Evidence]]


@attrs.define
class Page:
    """A page with scripted findings, one look per try; each method takes `inspect_s`, or its own time."""

    looks: Sequence[Look]
    inspect_s: float | Mapping[Method, float] = 0
    handle: str | None = "quiet.heron"
    refreshes: int = 0
    asked: list[Method] = attrs.field(factory=list)

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        assert selectors == {"logged_in": "x"}
        self.asked.append(method)
        takes = self.inspect_s
        await trio.sleep(takes if isinstance(takes, int | float) else takes.get(method, 0))
        evidence = tuple(self.looks[self.refreshes].get(method, ()))
        return Finding(method=method, evidence=evidence, viewer=self.handle)

    async def refresh(self) -> None:
        self.refreshes += 1


def detector(*, timeout_s: float = 8, retries: int = 1) -> LoginDetector:
    return LoginDetector(timeout_s=timeout_s, retries=retries, selectors={"logged_in": "x"})


async def test_first_conclusive_method_ends_the_asking(autojump_clock: MockClock) -> None:
    """If the HTML is conclusive, the rendered page is not inspected."""
    page = Page([{Method.HTML: [FLAG_OUT], Method.DOM: [CONTROLS]}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.method, verdict.tries) == (LOGGED_OUT, Method.HTML, 1)
    assert verdict.reason is LoginReason.LOGIN_FLAG
    assert page.asked == [Method.HTML]


async def test_inconclusive_html_leaves_it_to_the_dom(autojump_clock: MockClock) -> None:
    """The verdict names the method that decided."""
    page = Page([{Method.DOM: [CONTROLS]}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.method) == (LOGGED_IN, Method.DOM)
    assert [finding.method for finding in verdict.findings] == ALL[:2]


@pytest.mark.parametrize(
    ("later", "state", "method"),
    [
        ({}, LOGGED_OUT, Method.HTML),
        ({Method.DOM: [CONTROLS]}, LOGGED_IN, Method.DOM),
        ({Method.API: [SEEN_BY_API]}, LOGGED_IN, Method.API),
        ({Method.DOM: [BUTTON]}, LOGGED_OUT, Method.DOM),
        ({Method.DOM: [CHALLENGE]}, UNCERTAIN, Method.DOM),
    ],
)
async def test_absence_waits_for_the_other_methods(
    later: Look, state: object, method: Method, autojump_clock: MockClock
) -> None:
    """A missing viewer decides only if no other method finds anything better."""
    page = Page([{Method.HTML: [ABSENT], **later}])
    verdict = await detector(retries=0).judge(page)
    assert (verdict.state, verdict.method) == (state, method)
    assert page.asked[:2] == ALL[:2]


async def test_evidence_of_all_methods_is_judged_together(autojump_clock: MockClock) -> None:
    """A flag in the HTML and a button on the rendered page contradict each other."""
    verdict = await detector(retries=0).judge(Page([{Method.HTML: [FLAG_IN], Method.DOM: [BUTTON]}]))
    assert (verdict.state, verdict.reason) == (UNCERTAIN, LoginReason.CONFLICT)


async def test_evidence_counts_for_its_own_try(autojump_clock: MockClock) -> None:
    """A refreshed page is another page, but all findings are kept."""
    page = Page([{Method.HTML: [FLAG_OUT, SEEN]}, {Method.HTML: [SEEN]}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.tries, len(verdict.findings)) == (LOGGED_IN, 2, 4)


async def test_nothing_conclusive_is_tried_again_on_a_refreshed_page(autojump_clock: MockClock) -> None:
    """A retry refreshes the page and uses all methods again."""
    page = Page([{}, {Method.HTML: [SEEN]}])
    verdict = await detector().judge(page)
    assert (verdict.state, verdict.tries, page.refreshes) == (LOGGED_IN, 2, 1)
    assert page.asked == [*ALL, Method.HTML]


async def test_challenge_skips_methods_and_is_retried(autojump_clock: MockClock) -> None:
    """No method helps against a captcha, but reloading the page may."""
    page = Page([{Method.HTML: [CHALLENGE, SEEN]}, {Method.HTML: [SEEN]}])
    verdict = await detector().judge(page)
    assert page.asked == [Method.HTML, Method.HTML]
    assert (verdict.state, verdict.tries) == (LOGGED_IN, 2)


async def test_challenge_that_stays_is_the_reason(autojump_clock: MockClock) -> None:
    """The reason is the challenge, with a hint about what to do."""
    verdict = await detector().judge(Page([{Method.HTML: [CHALLENGE]}] * 2))
    assert (verdict.state, verdict.reason, verdict.tries) == (UNCERTAIN, LoginReason.CHALLENGE, 2)
    assert "captcha" in verdict.next_step


async def test_page_cut_short_is_left_to_the_endpoints(autojump_clock: MockClock) -> None:
    """TikTok's endpoints can still decide on a page that exceeded the bounds."""
    page = Page([{Method.HTML: [SEEN, CUT_SHORT], Method.API: [SEEN_BY_API]}])
    verdict = await detector(retries=0).judge(page)
    assert (verdict.state, verdict.reason) == (LOGGED_IN, LoginReason.VIEWER_API)


async def test_no_conclusion_after_all_tries_is_uncertain(autojump_clock: MockClock) -> None:
    """When all tries are used up, the verdict says so."""
    page = Page([{}, {}, {}])
    verdict = await detector(retries=2).judge(page)
    assert (verdict.state, verdict.reason) == (UNCERTAIN, LoginReason.NOTHING_FOUND)
    assert (verdict.tries, page.refreshes) == (3, 2)


@pytest.mark.parametrize(
    ("evidence", "viewer"), [([SEEN], "quiet.heron"), ([FLAG_OUT], None), ([CHALLENGE], None), ([], None)]
)
async def test_handle_is_named_only_when_logged_in(
    evidence: list[Evidence], viewer: str | None, autojump_clock: MockClock
) -> None:
    """A handle on a page that is not its viewer's is dropped, and never logged."""
    verdict = await detector(retries=0).judge(Page([{Method.HTML: evidence}]))
    assert verdict.viewer == viewer
    assert "quiet.heron" not in repr(verdict)


async def test_page_that_never_answers_costs_its_tries_and_no_more(autojump_clock: MockClock) -> None:
    """A try is interrupted at its limit, and the next one starts."""
    verdict = await detector(timeout_s=8).judge(Page([{}, {}], inspect_s=1000))
    assert trio.current_time() == 16
    assert (verdict.state, verdict.reason) == (UNCERTAIN, LoginReason.TIMED_OUT)
    assert verdict.elapsed_ms == 16_000


async def test_absence_does_not_decide_a_try_that_was_cut_off(autojump_clock: MockClock) -> None:
    """A method that didn't answer in time might have found better evidence; the findings are kept."""
    page = Page([{Method.HTML: [ABSENT]}] * 2, inspect_s={Method.API: 1000})
    verdict = await detector(timeout_s=8).judge(page)
    assert (verdict.state, verdict.reason, verdict.tries) == (UNCERTAIN, LoginReason.TIMED_OUT, 2)
    assert [finding.method for finding in verdict.findings] == ALL[:2] * 2


async def test_lost_browser_is_no_verdict(autojump_clock: MockClock) -> None:
    """The browser's own errors propagate unchanged."""

    class LostPage(Page):
        async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
            raise BrowserLost(f"gone at {method} with {selectors}")

    with pytest.raises(BrowserLost):
        await detector().judge(LostPage([{}]))
