"""HTML content analysis: all the evidence in a page's HTML, whether fetched, rendered or saved."""

import time
from collections import Counter
from collections.abc import Iterator

import attrs

from actors.verdict.dom import challenge, rule_evidence
from actors.verdict.hydration import Viewers, data_name, find_viewers
from actors.verdict.reading import PUMBAA, SHOP_CAPTCHA, Reading, read_page
from actors.verdict.verdict import Evidence, Finding, LoginReason, LoginState, Method, Strength
from actors.verdict.words import count_words

# No page of TikTok's own with a viewer or a feed is smaller.
TINY_CHARS = 16_000
_CHALLENGE_TITLES = frozenset({"security check", "access denied"})
_FIREWALL = "SlardarWAF"
_FLAG_POINTS_TO = {"1": LoginState.LOGGED_IN, "0": LoginState.LOGGED_OUT}


def analyse_html(page: str | bytes, *, is_elsewhere: bool = False) -> Finding:
    """Return the evidence in a page, text or the bytes of a file, of any size and however broken.

    `is_elsewhere` says that it came from another site than the one that was asked. Takes time linear in the
    size of the page, a few milliseconds for a real one. Never raises.
    """
    started = time.perf_counter()
    found = _Page.read(page)
    evidence = list(_evidence(found, is_elsewhere=is_elsewhere)) or [_nothing_else(found)]
    return Finding(
        method=Method.HTML,
        evidence=tuple(evidence),
        viewer=found.viewers.handle,
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )


def too_long_html() -> Finding:
    """Return what is found on a page that is too long to be looked at."""
    return Finding(
        method=Method.HTML, evidence=(_stop("page beyond bounds", "page", LoginReason.UNREADABLE),)
    )


@attrs.frozen
class _Page:
    reading: Reading
    viewers: Viewers
    has_data: bool
    is_firewall: bool

    @classmethod
    def read(cls, page: str | bytes) -> "_Page":
        reading = read_page(page)
        data: list[tuple[str, str]] = []
        is_firewall = False
        for script in reading.scripts:
            if name := data_name(script):
                data.append((name, script.text))
            else:
                is_firewall |= script.is_code and _FIREWALL in script.text
        return cls(reading, find_viewers(data), bool(data), is_firewall)


def _evidence(page: _Page, *, is_elsewhere: bool) -> Iterator[Evidence]:
    reading = page.reading
    if is_elsewhere:
        yield _stop("another site", "address", LoginReason.NOT_TIKTOK)
    if reading.title.lower() in _CHALLENGE_TITLES:
        yield challenge("title of a challenge", "title")
    if page.is_firewall:
        yield challenge(_FIREWALL, "script")
    if reading.loads_shop_captcha:
        yield challenge(SHOP_CAPTCHA, "address of a script")
    if not reading.is_whole:
        yield _stop("page beyond bounds", "page", LoginReason.UNREADABLE)
    yield from page.viewers.evidence
    for flag, count in _flags(reading).items():
        yield Evidence(
            rule=f"login={flag}",
            place=PUMBAA,
            points_to=_FLAG_POINTS_TO[flag],
            strength=Strength.STRUCTURE,
            reason=LoginReason.LOGIN_FLAG,
            count=count,
        )
    for rule, count in reading.rules.items():
        yield rule_evidence(rule, count)


def _nothing_else(page: _Page) -> Evidence:
    """Return what a page without any evidence is."""
    is_tiny = len(page.reading.text) < TINY_CHARS and not page.has_data
    if is_tiny and page.reading.has_script:
        return challenge("tiny page without data", "page")
    if not (page.reading.is_tiktok or page.has_data):
        return _stop("nothing of TikTok's", "page", LoginReason.NOT_TIKTOK)
    return count_words(page.reading.text)


def _stop(rule: str, place: str, reason: LoginReason) -> Evidence:
    return Evidence(
        rule=rule,
        place=place,
        points_to=LoginState.UNCERTAIN,
        strength=Strength.STRUCTURE,
        reason=reason,
    )


def _flags(reading: Reading) -> Counter[str]:
    """Count what `login` is set to: "0" or "1"."""
    settings = (setting.partition("=") for content in reading.login_flags for setting in content.split(","))
    return Counter(
        value.strip()
        for name, _, value in settings
        if name.strip() == "login" and value.strip() in _FLAG_POINTS_TO
    )
