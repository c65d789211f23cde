"""HTML content analysis: all the evidence in a page's HTML, whether fetched, rendered or saved."""

import re
import time
from collections import Counter
from collections.abc import Iterator

import attrs

from greenroom.actors.verdict.arrival import Arrival, Shown, is_region_path, refusal, stop
from greenroom.actors.verdict.dom import challenge, is_captcha, is_firewall, rule_evidence
from greenroom.actors.verdict.gates import find_gates
from greenroom.actors.verdict.hydration import Viewers, data_name, find_viewers
from greenroom.actors.verdict.indicators import count_words
from greenroom.actors.verdict.origin import PUMBAA
from greenroom.actors.verdict.page_reader import SHOP_CAPTCHA
from greenroom.actors.verdict.parsing import read_page
from greenroom.actors.verdict.reading import Reading, Script
from greenroom.actors.verdict.verdict import Evidence, Finding, LoginReason, LoginState, Method, Strength

# No page of TikTok with a viewer or a feed is smaller.
TINY_CHARS = 16_000
_CHALLENGE_TITLE, _REFUSED_TITLE = "security check", "access denied"
_FIREWALL, _FIREWALL_CONFIG = "SlardarWAF", "slardar-config"
_FLAG_POINTS_TO = {"1": LoginState.LOGGED_IN, "0": LoginState.LOGGED_OUT}
# On a small page without data, the words distinguish one refusal from another. They never prove a login.
_REGION_WORDS = re.compile(
    r"\btiktok (?:is ?n.t|is not|is no longer|is currently not) available\b"
    r"|\b(?:not |is ?n.t |un)available in your\b|\bnot available in this (?:country|region)\b"
    r"|\bdiscontinued operating\b",
    re.IGNORECASE,
)
_WAITING_WORDS = re.compile(
    r"\b(?:wait|checking|verifying|verify|one moment|just a moment|loading|redirecting)\b", re.IGNORECASE
)
_CLOUDFLARE = "/cdn-cgi/"
_NOWHERE = Arrival()


def analyse_html(page: str | bytes, arrival: Arrival = _NOWHERE) -> Finding:
    """Return the evidence in a page, given as text or as a file's bytes, of any size and however broken.

    Takes time linear in the page's size, a few milliseconds for a real one. Never raises.
    """
    started = time.perf_counter()
    found = _Page.read(page, arrival)
    evidence = list(_evidence(found)) or [_nothing_else(found)]
    return Finding(
        method=Method.HTML,
        evidence=tuple(evidence),
        document=arrival.document,
        status=arrival.status,
        retry_after_s=arrival.retry_after_s,
        viewer=found.viewers.handle,
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )


def too_long_html(arrival: Arrival = _NOWHERE) -> Finding:
    """Return the finding for a page that is too long to analyse."""
    beyond = stop("page beyond bounds", "page", LoginReason.UNREADABLE)
    return Finding(method=Method.HTML, evidence=(beyond,), document=arrival.document, status=arrival.status)


@attrs.frozen
class _Page:
    reading: Reading
    viewers: Viewers
    arrival: Arrival
    has_data: bool
    is_firewall: bool

    @classmethod
    def read(cls, page: str | bytes, arrival: Arrival) -> "_Page":
        reading = read_page(page)
        data: dict[str, tuple[str, Script]] = {}
        is_firewall = False
        for script in reading.scripts:
            if name := data_name(script):
                # An element found by its id counts once; of several assignments, the last one counts.
                data[script.id or "assigned"] = (name, script)
            else:
                is_firewall |= _FIREWALL in script.text and (script.is_code or script.id == _FIREWALL_CONFIG)
        return cls(reading, find_viewers(data.values()), arrival, bool(data), is_firewall)

    @property
    def shown(self) -> Shown:
        """What is visible of the page, according to the browser, or else to the HTML."""
        captcha = any(is_captcha(rule) for rule in self.reading.rules)
        headlines, names = tuple(self.reading.headlines), tuple(self.reading.names)
        return self.arrival.shown or Shown(captcha, headlines, names)

    @property
    def path(self) -> str:
        return self.arrival.path or self.reading.path


def _evidence(page: _Page) -> Iterator[Evidence]:
    reading, arrival = page.reading, page.arrival
    passing = reading.may_pass
    is_other = reading.is_other and not arrival.is_proven
    if arrival.is_elsewhere or is_other:
        yield stop("another site", "address", LoginReason.NOT_TIKTOK, may_pass=passing)
    yield from _challenges(page)
    viewers = page.viewers.evidence
    is_site = arrival.is_proven or reading.is_proven or page.viewers.is_tiktok
    # TikTok's app answers 404 for a missing video with its whole page, which still shows the viewer.
    is_app = is_site and reading.is_whole and any(_is_in(piece) for piece in viewers)
    if is_region_path(page.path):
        yield stop("region's path", "address", LoginReason.REGION_BLOCKED)
    elif not is_app and (refused := refusal(arrival.status, may_pass=passing)):
        if _is_tiny(page) and _REGION_WORDS.search(f"{reading.title} {reading.words}"):
            yield attrs.evolve(refused, reason=LoginReason.REGION_BLOCKED)
        else:
            yield refused
    if not reading.is_whole:
        yield stop("page beyond bounds", "page", LoginReason.UNREADABLE)
    yield from viewers
    elements = [rule_evidence(rule, n) for rule, n in reading.rules.items() if not _is_challenge(rule)]
    flags = list(_flags(reading))
    yield from (*flags, *elements)
    if not is_site and any(_is_in(piece) for piece in (*viewers, *flags, *elements)):
        yield stop("nothing proves the site", "page", LoginReason.NOT_TIKTOK, may_pass=passing)
    yield from find_gates(page.shown.headlines, page.shown.names, page.path)


def _challenges(page: _Page) -> Iterator[Evidence]:
    """Yield the signs of a challenge that is visible, or that is all there is on the page."""
    reading, passing = page.reading, page.reading.may_pass
    if page.shown.captcha:
        yield challenge("captcha", "shown")
    if reading.title.lower() == _CHALLENGE_TITLE:
        yield challenge("title of a challenge", "title", may_pass=passing)
    if reading.title.lower() == _REFUSED_TITLE and not page.has_data:
        yield stop("title of a refusal", "title", LoginReason.BLOCKED, may_pass=passing)
    if page.has_data or reading.login_flags or any(not _is_challenge(rule) for rule in reading.rules):
        return  # ordinary pages carry the challenge's code too, for the case that they need it
    if page.is_firewall:
        yield challenge(_FIREWALL, "script", may_pass=passing)
    if any(is_firewall(rule) for rule in reading.rules):
        yield challenge("puzzle of the firewall", "element", may_pass=passing)
    if reading.loads_shop_captcha:
        yield challenge(SHOP_CAPTCHA, "address of a script", may_pass=passing)


def _nothing_else(page: _Page) -> Evidence:
    """Return what can be said about a page without any evidence."""
    reading = page.reading
    passing = reading.may_pass
    text = f"{reading.title} {reading.words}"
    if _is_tiny(page):
        if _REGION_WORDS.search(text):
            return stop("words of a region's page", "page", LoginReason.REGION_BLOCKED, may_pass=passing)
        is_waiting = not reading.words.strip() or (not reading.asks and _WAITING_WORDS.search(text))
        # TikTok has its own firewall; Cloudflare's page comes from another site.
        if reading.has_script and is_waiting and _CLOUDFLARE not in reading.text:
            return challenge("tiny page without data", "page", may_pass=passing)
    if not (reading.is_tiktok or reading.is_proven or page.has_data):
        return stop("nothing of TikTok's", "page", LoginReason.NOT_TIKTOK, may_pass=passing)
    return count_words(reading.text)


def _is_tiny(page: _Page) -> bool:
    return len(page.reading.text) < TINY_CHARS and not page.has_data


def _is_challenge(rule: str) -> bool:
    return is_captcha(rule) or is_firewall(rule)


def _is_in(piece: Evidence) -> bool:
    return piece.points_to is LoginState.LOGGED_IN and piece.reason is not LoginReason.LOGIN_FLAG


def _flags(reading: Reading) -> Iterator[Evidence]:
    """Yield the evidence of the `login` flag, "0" or "1"."""
    settings = (setting.partition("=") for content in reading.login_flags for setting in content.split(","))
    counts = Counter(
        value.strip()
        for name, _, value in settings
        if name.strip() == "login" and value.strip() in _FLAG_POINTS_TO
    )
    for flag, count in counts.items():
        yield Evidence(
            rule=f"login={flag}",
            place=PUMBAA,
            points_to=_FLAG_POINTS_TO[flag],
            strength=Strength.STRUCTURE,
            reason=LoginReason.LOGIN_FLAG,
            count=count,
        )
