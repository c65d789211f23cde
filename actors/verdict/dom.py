"""DOM element detection: elements that are shown to only one kind of viewer.

They were counted on saved pages of tiktok.com from 2020 to 2026. Others, such as `upload-icon` or
`nav-profile`, are on pages of both kinds. A page without any of these says nothing about its viewer.
"""

from collections.abc import Iterator, Mapping

from greenroom.actors.verdict.verdict import Evidence, Finding, LoginReason, LoginState, Method, Strength

LOGGED_IN_E2E = frozenset(
    {
        "profile-icon",
        "inbox-icon",
        "inbox-notifications",
        "top-dm-icon",
        "nav-messages",
        "nav-activity",
    }
)
LOGGED_OUT_E2E = frozenset({"top-login-button", "nav-login-button"})
LOGGED_OUT_IDS = frozenset({"header-login-button", "top-right-action-bar-login-button"})
# The elements of a captcha over a page, and of TikTok Shop's captcha: a challenge if they are visible.
CAPTCHA_NAMES = frozenset({"captcha-verify-container", "captcha_verify_container", "oec-ttweb-captcha"})
# A hidden element of the firewall's page, for its script.
FIREWALL_NAME = "_wafchallengeid"
_CLASSES = CAPTCHA_NAMES | {FIREWALL_NAME}


def _css(e2e: frozenset[str], ids: frozenset[str] = frozenset()) -> str:
    return ", ".join([f"[data-e2e='{name}']" for name in sorted(e2e)] + [f"#{name}" for name in sorted(ids)])


KNOWN_SELECTORS: Mapping[str, str] = {
    "logged_in": _css(LOGGED_IN_E2E),
    "logged_out": _css(LOGGED_OUT_E2E, LOGGED_OUT_IDS),
    "challenge": ", ".join(f".{name}, #{name}" for name in sorted(CAPTCHA_NAMES)),
}
"""The rules above as selectors for a browser, used in addition to those in the settings.

A challenge counts only if it is visible.
"""

_RENDERED = "rendered page"
_E2E_RULES = LOGGED_IN_E2E | LOGGED_OUT_E2E
_POINTS_TO = {"logged_in": LoginState.LOGGED_IN, "logged_out": LoginState.LOGGED_OUT}
_REASONS = {"logged_in": LoginReason.VIEWER_CONTROLS, "logged_out": LoginReason.LOGIN_BUTTON}


def judge_elements(known: Mapping[str, int], own: Mapping[str, int]) -> Finding:
    """Return the evidence of how many elements match the known selectors, and those in the settings.

    A match of the setting `uncertain` is no evidence, and neither is the lack of any match.
    """
    evidence = [
        challenge("challenge", _RENDERED, count)
        if kind == "challenge"
        else _element(kind, _RENDERED, kind, count)
        for kind, count in known.items()
        if count
    ]
    evidence += [
        _element(f"selectors.{kind}", _RENDERED, kind, count) for kind, count in own.items() if count
    ]
    return Finding(method=Method.DOM, evidence=tuple(evidence))


def rules_met(attributes: Mapping[str, str]) -> Iterator[str]:
    """Yield the rules that an element with these attributes matches, in the HTML as it is."""
    e2e = attributes.get("data-e2e")
    if e2e in _E2E_RULES:
        yield f"data-e2e={e2e}"
    id_ = attributes.get("id", "")
    if id_ in LOGGED_OUT_IDS or id_ in _CLASSES:
        yield f"#{id_}"
    classes = attributes.get("class", "")
    if "captcha" in classes or FIREWALL_NAME in classes:
        yield from (f".{name}" for name in _CLASSES.intersection(classes.split()))


def is_captcha(rule: str) -> bool:
    """Return whether a rule matches a captcha."""
    return rule[1:] in CAPTCHA_NAMES


def is_firewall(rule: str) -> bool:
    """Return whether a rule matches the firewall's page."""
    return rule[1:] == FIREWALL_NAME


def rule_evidence(rule: str, count: int) -> Evidence:
    """Return the evidence of `count` elements that match a rule."""
    name = rule.removeprefix("data-e2e=").lstrip("#.")
    if name in _CLASSES:
        return challenge(rule, "element", count)
    return _element(rule, "element", "logged_in" if name in LOGGED_IN_E2E else "logged_out", count)


def challenge(rule: str, place: str, count: int = 1, *, may_pass: bool = False) -> Evidence:
    """Return evidence that the page is a challenge."""
    return Evidence(
        rule=rule,
        place=place,
        points_to=LoginState.UNCERTAIN,
        strength=Strength.STRUCTURE,
        reason=LoginReason.CHALLENGE,
        count=count,
        may_pass=may_pass,
    )


def _element(rule: str, place: str, kind: str, count: int) -> Evidence:
    return Evidence(
        rule=rule,
        place=place,
        points_to=_POINTS_TO.get(kind, LoginState.UNCERTAIN),
        strength=Strength.DOM,
        reason=_REASONS.get(kind, LoginReason.NOTHING_FOUND),
        count=count,
    )
