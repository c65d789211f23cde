"""From evidence to a decision."""

import attrs
import pytest

from greenroom.actors.verdict import Evidence, Gate, LoginReason, LoginState
from tests.actors.verdict.builders import (
    ABSENT,
    ABSENT_FROM_API,
    BROKEN_DATA,
    BUTTON,
    CHALLENGE,
    CONTROLS,
    CUT_SHORT,
    ELSEWHERE,
    FLAG_IN,
    FLAG_OUT,
    GATE,
    LOGGED_IN,
    LOGGED_OUT,
    REFUSED,
    SEEN,
    SEEN_BY_API,
    UNCERTAIN,
    UNKNOWN,
    WORDS_IN,
    decided,
)


@pytest.mark.parametrize(
    ("evidence", "state", "reason"),
    [
        ([SEEN], LOGGED_IN, LoginReason.VIEWER_OBJECT),
        ([SEEN_BY_API], LOGGED_IN, LoginReason.VIEWER_API),
        ([CONTROLS], LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        ([FLAG_OUT], LOGGED_OUT, LoginReason.LOGIN_FLAG),
        ([BUTTON], LOGGED_OUT, LoginReason.LOGIN_BUTTON),
        ([ABSENT], LOGGED_OUT, LoginReason.VIEWER_OBJECT),
        ([SEEN, BUTTON], LOGGED_IN, LoginReason.VIEWER_OBJECT),
        ([SEEN, ABSENT], LOGGED_IN, LoginReason.VIEWER_OBJECT),
        ([FLAG_OUT, CONTROLS, SEEN_BY_API], LOGGED_IN, LoginReason.VIEWER_API),
        ([FLAG_OUT, CONTROLS, ABSENT_FROM_API], LOGGED_OUT, LoginReason.VIEWER_API),
        ([SEEN, FLAG_OUT, SEEN_BY_API], LOGGED_IN, LoginReason.VIEWER_API),
        ([UNKNOWN, ABSENT_FROM_API], LOGGED_OUT, LoginReason.VIEWER_API),
        ([UNKNOWN, SEEN_BY_API], LOGGED_IN, LoginReason.VIEWER_API),
        ([UNKNOWN, CONTROLS], LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        ([UNKNOWN, BUTTON], LOGGED_OUT, LoginReason.LOGIN_BUTTON),
        ([CONTROLS, ABSENT_FROM_API], LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        ([CONTROLS, ABSENT], LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        ([BUTTON, WORDS_IN], LOGGED_OUT, LoginReason.LOGIN_BUTTON),
        ([FLAG_IN, CONTROLS], LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        ([ABSENT, BROKEN_DATA], LOGGED_OUT, LoginReason.VIEWER_OBJECT),
    ],
)
def test_strongest_evidence_decides(evidence: list[Evidence], state: LoginState, reason: LoginReason) -> None:
    """Structure beats DOM, and DOM beats absence."""
    decision = decided(*evidence)
    assert (decision.state, decision.reason) == (state, reason)


@pytest.mark.parametrize(
    "evidence",
    [
        [SEEN, FLAG_OUT],
        [SEEN_BY_API, FLAG_OUT],
        [FLAG_IN, FLAG_OUT],
        [CONTROLS, BUTTON],
        [FLAG_IN, BUTTON],
        [FLAG_OUT, CONTROLS],
        [FLAG_IN, ABSENT_FROM_API],
        [UNKNOWN],
        [UNKNOWN, ABSENT],
    ],
)
def test_strong_evidence_against_strong_evidence_is_a_conflict(evidence: list[Evidence]) -> None:
    """Contradictory evidence is not decided by majority."""
    decision = decided(*evidence, WORDS_IN)
    assert (decision.state, decision.reason) == (UNCERTAIN, LoginReason.CONFLICT)
    assert not decision.conclusive  # the endpoints may know


@pytest.mark.parametrize("evidence", [[], [WORDS_IN] * 9, [FLAG_IN], [FLAG_IN, WORDS_IN]])
def test_words_and_the_flag_alone_prove_nothing(evidence: list[Evidence]) -> None:
    """A login needs a viewer object, or the controls that only a viewer gets."""
    decision = decided(*evidence)
    assert (decision.state, decision.reason) == (UNCERTAIN, LoginReason.NOTHING_FOUND)
    assert not decision.conclusive


@pytest.mark.parametrize("other", [SEEN, SEEN_BY_API, CONTROLS, FLAG_OUT, BUTTON, ABSENT, CUT_SHORT])
def test_challenge_and_another_site_end_it_whatever_else_there_is(other: Evidence) -> None:
    """A challenge or another site's page is not the page that was asked for, so nothing on it counts."""
    for stop, reason in ((CHALLENGE, LoginReason.CHALLENGE), (ELSEWHERE, LoginReason.NOT_TIKTOK)):
        decision = decided(other, stop)
        assert (decision.state, decision.reason, decision.conclusive) == (UNCERTAIN, reason, True)


@pytest.mark.parametrize("proof", [SEEN, CONTROLS])
def test_page_cut_short_is_never_logged_in_by_itself(proof: Evidence) -> None:
    """The part of a page that was not read may contradict a login."""
    decision = decided(proof, CUT_SHORT)
    assert (decision.state, decision.reason) == (UNCERTAIN, LoginReason.UNREADABLE)
    assert decided(BUTTON, CUT_SHORT).state is LOGGED_OUT


def test_endpoints_prove_a_login_whose_page_was_cut_short() -> None:
    """The endpoints answer for the viewer, whatever the page is like."""
    assert decided(SEEN, CUT_SHORT, SEEN_BY_API).state is LOGGED_IN


@pytest.mark.parametrize(
    ("evidence", "conclusive"),
    [([SEEN], True), ([CONTROLS], True), ([BUTTON], True), ([FLAG_OUT], True), ([ABSENT], False)],
)
def test_absence_waits_for_the_other_methods(evidence: list[Evidence], conclusive: bool) -> None:
    """An empty viewer's place decides only if nothing else does."""
    assert decided(*evidence).conclusive is conclusive


def test_broken_data_is_said_to_be_the_reason() -> None:
    """A page with unreadable data is distinguished from one without data."""
    assert decided(BROKEN_DATA).reason is LoginReason.UNREADABLE


@pytest.mark.parametrize(
    ("evidence", "state", "reason"),
    [
        ([SEEN, GATE], LOGGED_IN, LoginReason.ACCOUNT_RESTRICTED),
        ([CONTROLS, GATE], LOGGED_IN, LoginReason.ACCOUNT_RESTRICTED),
        ([GATE], UNCERTAIN, LoginReason.ACCOUNT_RESTRICTED),
        ([FLAG_OUT, GATE], LOGGED_OUT, LoginReason.LOGIN_FLAG),
        ([CHALLENGE, SEEN, GATE], UNCERTAIN, LoginReason.CHALLENGE),
    ],
)
def test_gate_lets_nobody_in(evidence: list[Evidence], state: LoginState, reason: LoginReason) -> None:
    """A gate never proves a login, and doesn't change the state."""
    decision = decided(*evidence)
    assert (decision.state, decision.reason) == (state, reason)
    assert (decision.gate is Gate.AGE) == (reason is LoginReason.ACCOUNT_RESTRICTED)


def test_first_of_several_refusals_is_the_reason() -> None:
    """Another site comes before a challenge, a challenge before a refusal, and a refusal before a viewer."""
    assert decided(REFUSED, CHALLENGE).reason is LoginReason.CHALLENGE
    assert decided(REFUSED, ELSEWHERE).reason is LoginReason.NOT_TIKTOK
    assert decided(REFUSED, SEEN).reason is LoginReason.BLOCKED


def test_page_may_pass_unless_something_on_it_can_not() -> None:
    """A captcha waits for a person, whatever script is next to it."""
    passing = attrs.evolve(CHALLENGE, may_pass=True)
    assert decided(passing, SEEN).may_pass
    assert not decided(passing, CHALLENGE).may_pass
    assert not decided(SEEN).may_pass
