"""Elements that are shown to only one kind of viewer, in HTML and on the rendered page."""

import pytest

from greenroom.actors.verdict import LoginReason, LoginState, Strength, analyse_html
from greenroom.actors.verdict.dom import KNOWN_SELECTORS, judge_elements, rules_met
from tests.actors.verdict.builders import HERE, LOGGED_IN, LOGGED_OUT, UNCERTAIN, decided, judge

LOGGED_IN_NAMES = (
    *("profile-icon", "inbox-icon", "inbox-notifications", "top-dm-icon", "nav-messages", "nav-activity"),
)
LOGGED_OUT_NAMES = ("top-login-button", "nav-login-button")
LOGGED_OUT_IDS = ("header-login-button", "top-right-action-bar-login-button")
UNUSABLE = ("upload-icon", "nav-profile", "nav-following", "search-box", "Profile-Icon", "profile-icon x", "")


@pytest.mark.parametrize(
    ("element", "state"),
    [(f'<i data-e2e="{name}">', LOGGED_IN) for name in LOGGED_IN_NAMES]
    + [(f"<i DATA-E2E='{name}'/>", LOGGED_OUT) for name in LOGGED_OUT_NAMES]
    + [(f"<i id={name}>", LOGGED_OUT) for name in LOGGED_OUT_IDS],
)
def test_each_element_decides_alone(element: str, state: LoginState) -> None:
    """Each element that was counted on real pages decides by itself, in any spelling of HTML."""
    (evidence,) = analyse_html(element, HERE).evidence
    assert (evidence.points_to, evidence.strength, evidence.count) == (state, Strength.DOM, 1)
    assert judge(element * 3)[0] is state
    assert analyse_html(element * 3, HERE).evidence[0].count == 3


@pytest.mark.parametrize(
    "element",
    [f'<i data-e2e="{name}">' for name in UNUSABLE]
    + [
        '<a href="/login">log in</a>',
        '<i data-e2e="header-login-button" id="profile-icon" class="nav-login-button">',
        '<i title="data-e2e=profile-icon" data-x="profile-icon">profile-icon</i>',
        '<template><i data-e2e="profile-icon"></i></template>',
        '<noscript><i data-e2e="top-login-button"></i></noscript>',
        '<textarea><i data-e2e="profile-icon"></textarea>',
        '<!-- <i data-e2e="profile-icon"> -->',
        '<title><i data-e2e="profile-icon"></title>',
        '<style><i data-e2e="profile-icon"></style>',
        "<script>'<i data-e2e=\"profile-icon\">'</script>",
        '&lt;i data-e2e="profile-icon"&gt;',
        "<iframe srcdoc='<i data-e2e=profile-icon>'></iframe>",
    ],
)
def test_other_elements_and_text_say_nothing(element: str) -> None:
    """Elements of both kinds of pages, and text that only looks like an element, are no evidence."""
    assert judge(element)[0] is UNCERTAIN
    assert all(piece.strength is not Strength.DOM for piece in analyse_html(element).evidence)


@pytest.mark.parametrize(
    ("matches", "state", "reason"),
    [
        ({"logged_in": 1, "logged_out": 0, "uncertain": 1}, LOGGED_IN, LoginReason.VIEWER_CONTROLS),
        ({"logged_in": 0, "logged_out": 2}, LOGGED_OUT, LoginReason.LOGIN_BUTTON),
        ({"logged_in": 1, "logged_out": 1}, UNCERTAIN, LoginReason.CONFLICT),
        ({"uncertain": 1}, UNCERTAIN, LoginReason.NOTHING_FOUND),
        ({}, UNCERTAIN, LoginReason.NOTHING_FOUND),
    ],
)
def test_selectors_decide_when_only_one_kind_matches(
    matches: dict[str, int], state: LoginState, reason: LoginReason
) -> None:
    """Elements of both kinds on one page are a conflict; known selectors and those set count alike."""
    known = {kind: count for kind, count in matches.items() if kind != "uncertain"}
    half = {kind: count for kind, count in matches.items() if kind != "logged_in"}
    for finding in (judge_elements({}, matches), judge_elements(known, {}), judge_elements(known, half)):
        decision = decided(*finding.evidence)
        assert (decision.state, decision.reason) == (state, reason)


def test_challenge_over_a_page_is_seen() -> None:
    """A captcha on top beats what it covers."""
    finding = judge_elements({"challenge": 1, "logged_in": 3}, {"logged_in": 1})
    assert decided(*finding.evidence).reason is LoginReason.CHALLENGE


def test_selectors_are_the_rules_of_the_html() -> None:
    """The rendered page and the HTML are searched for the same elements."""
    for name in (*LOGGED_IN_NAMES, *LOGGED_OUT_NAMES):
        side = "logged_in" if name in LOGGED_IN_NAMES else "logged_out"
        assert f"[data-e2e='{name}']" in KNOWN_SELECTORS[side]
        assert list(rules_met({"data-e2e": name})) == [f"data-e2e={name}"]
    for name in LOGGED_OUT_IDS:
        assert f"#{name}" in KNOWN_SELECTORS["logged_out"]
    assert ".captcha-verify-container" in KNOWN_SELECTORS["challenge"]
