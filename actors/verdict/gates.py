"""Finds what keeps a viewer from the site: a suspension, an age gate, terms, a check, an error.

None of these was seen on a saved page of TikTok: the names and headlines are guesses, and English. So a match
counts only for something shown in front of a page or instead of one: the name of an element, or the headline
of a dialog or of a page that shows no post. Anywhere else the same words are just words.
"""

import re
from collections.abc import Iterable, Iterator

from greenroom.actors.verdict.verdict import Evidence, Gate, LoginReason, LoginState, Strength

_SUSPENDED = r"suspend(?:ed|ion)?|bann?ed|ban|disabled|deactivated|restricted|locked"
_NAMES = {
    Gate.ACCOUNT_SUSPENDED: (
        rf"(?:account|user)-(?:is-|was-|status-)?(?:{_SUSPENDED})|suspended-account|ban-appeal"
    ),
    Gate.AGE: (
        r"age-(?:gate|verif\w*|check|confirm\w*|restriction|wall)|birthday-(?:gate|modal|form|select\w*)"
    ),
    Gate.CONSENT: (
        r"(?:terms|tos|policy|privacy|consent|legal)(?:-of-service|-update|-policy)*"
        r"-(?:wall|gate|modal|popup|dialog|update|confirm\w*|interstitial)"
    ),
    Gate.TWO_STEP: r"two-?(?:step|factor)(?:-\w+)*|2sv|2fa|2-step(?:-\w+)*|mfa-(?:form|modal|step|challenge)",
    Gate.IDENTITY: (
        r"verify-(?:its-you|identity|account|user|login)|identity-(?:verif\w*|check|gate|challenge)"
        r"|account-verif\w*|idv-(?:modal|page|dialog)"
    ),
    Gate.ERROR: r"(?:page-|app-)?error-(?:page|container|boundary|screen)|something-went-wrong",
}
GATE_NAME = "|".join(rf"(?:^|-)(?:{names})(?:$|-)" for names in _NAMES.values())
"""A regular expression for `normal_name`s that may be a gate's. Both Python and JavaScript read it."""

_PATHS = {
    Gate.ACCOUNT_SUSPENDED: r"account-?(?:suspended|banned|disabled|restricted)|suspended|banned|appeal",
    Gate.AGE: r"age-?(?:gate|verification|check)|birthday",
    Gate.CONSENT: r"consent|accept-?terms|terms-?update",
    Gate.TWO_STEP: r"2sv|2fa|two-?step(?:-verification)?|two-?factor",
    Gate.IDENTITY: r"verify|verification|identity(?:-verification)?|verify-(?:identity|account|its-you)",
}
_HEADLINES = {
    Gate.ACCOUNT_SUSPENDED: (
        rf"^(?:your |this )?account (?:(?:has been|was|is)(?: \w+ly| currently)? )?(?:{_SUSPENDED})\b"
    ),
    Gate.AGE: (
        r"^(?:please )?(?:confirm|verify|enter|select|what.s|when.s|what is|when is|how old)\b.{0,20}"
        r"(?:\bage\b|\bbirthday\b|\bdate of birth\b|\bbirth date\b|\bare you\b)"
        r"|^age (?:verification|gate|check)"
    ),
    Gate.CONSENT: (
        r"^(?:we(?:.ve| have)? )?(?:updat\w+|changes to|agree to|accept|review|new)\b.{0,30}"
        r"\b(?:terms|privacy policy|privacy notice|policies|conditions)\b"
        r"|^(?:our )?terms (?:of (?:service|use) )?(?:have |are )?(?:chang|updat)|^before you continue\b"
        r"|^(?:we need )?your consent\b|^choose (?:how|whether) .{0,20}\bads\b"
    ),
    Gate.TWO_STEP: (
        r"^(?:2|two).?(?:step|factor)\b|^enter (?:the |your )?(?:\d+.digit |verification |security )*code\b"
    ),
    Gate.IDENTITY: (
        r"^(?:please )?(?:verify|confirm)(?: that)?(?: it.?s| it is)(?: really)? you\b"
        r"|^(?:please )?(?:verify|confirm) your (?:identity|account)\b|^identity verification\b"
    ),
    Gate.ERROR: r"^(?:sorry,? |oops[,!.]? ?)*something went wrong\b|^an error (?:has )?occurred\b",
}
_BY_NAME = {gate: re.compile(rf"(?:^|-)(?:{names})(?:$|-)", re.ASCII) for gate, names in _NAMES.items()}
_BY_PATH = {gate: re.compile(names, re.ASCII) for gate, names in _PATHS.items()}
_BY_HEADLINE = {gate: re.compile(words, re.IGNORECASE) for gate, words in _HEADLINES.items()}
_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MAX_HEADLINE_CHARS = 200
MAX_HEADLINES = 30


def normal_name(name: str) -> str:
    """Return an element's name in lower case, with hyphens between its words."""
    return _UPPER.sub("-", name[:MAX_HEADLINE_CHARS]).replace("_", "-").lower()


def find_gates(headlines: Iterable[str], names: Iterable[str], path: str) -> Iterator[Evidence]:
    """Yield the evidence of gates in the headlines and names of visible elements, and in the page's path."""
    for part in path.lower().replace("_", "-").split("/")[:4]:
        yield from (_gate(gate, "path") for gate, known in _BY_PATH.items() if known.fullmatch(part))
    for name in names:
        yield from (
            _gate(gate, "name of an element") for gate, known in _BY_NAME.items() if known.search(name)
        )
    for headline in headlines:
        text = " ".join(headline.split())[:MAX_HEADLINE_CHARS]
        yield from (_gate(gate, "headline") for gate, known in _BY_HEADLINE.items() if known.search(text))


def _gate(gate: Gate, place: str) -> Evidence:
    return Evidence(
        rule=f"gate: {gate.value}",
        place=place,
        points_to=LoginState.UNCERTAIN,
        strength=Strength.STRUCTURE,
        reason=LoginReason.ACCOUNT_RESTRICTED,
        gate=gate,
    )
