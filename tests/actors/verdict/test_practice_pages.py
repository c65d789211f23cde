"""Every page of the practice site; they are built like the real ones."""

import math
import time

import pytest

from greenroom.actors.verdict import LoginReason, analyse_html, decide
from greenroom.web.practice.pages import (
    INVENTED_VIEWER,
    Page,
    State,
    all_pages,
    evidence_of,
    render,
    render_uncertain,
)
from tests.actors.verdict.builders import LOGGED_IN, LOGGED_OUT, UNCERTAIN

MAX_MS_PER_MB = 20
STATES = {State.LOGGED_IN: LOGGED_IN, State.LOGGED_OUT: LOGGED_OUT, State.CHALLENGE: UNCERTAIN}


@pytest.mark.parametrize("page", list(all_pages()), ids=lambda page: page.name)
def test_practice_page_is_judged_as_what_it_is(page: Page) -> None:
    """Each page has the right state, as text and as bytes, and the right handle if it names its viewer."""
    html = render(page)
    finding = analyse_html(html)
    decision = decide(finding.evidence)
    assert decision.state is STATES[page.state]
    assert (decision.reason is LoginReason.CHALLENGE) == (page.state is State.CHALLENGE)
    assert decide(analyse_html(html.encode()).evidence) == decision
    is_named = page.state is State.LOGGED_IN and evidence_of(page).place is not None
    assert finding.viewer == (INVENTED_VIEWER.handle if is_named else None)


def test_page_without_evidence_is_uncertain() -> None:
    """A page with all the traps and nothing else has no evidence."""
    decision = decide(analyse_html(render_uncertain()).evidence)
    assert (decision.state, decision.reason) == (UNCERTAIN, LoginReason.NOTHING_FOUND)


@pytest.mark.parametrize("page", list(all_pages()), ids=lambda page: page.name)
def test_practice_page_takes_at_most_20_ms_a_megabyte(page: Page) -> None:
    """Judging is limited in processor time, best of several runs; a small page counts as a megabyte.

    Other programs on a machine slow it down, too, so there are many runs unless an early one is fast enough.
    """
    html = render(page)
    limit_ms = MAX_MS_PER_MB * -(-len(html) // 1_000_000)
    took_ms: list[float] = []
    while len(took_ms) < 30 and min(took_ms, default=math.inf) > limit_ms:
        took_ms.append(_measure(html))
    assert min(took_ms) <= limit_ms


def _measure(html: str) -> float:
    started = time.thread_time()
    analyse_html(html)
    return (time.thread_time() - started) * 1000
