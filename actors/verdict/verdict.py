"""The words of a login verdict: what was found, how strong it is, and what follows from it."""

import enum

import attrs


class LoginState(enum.Enum):
    """What a page says of its viewer. UNCERTAIN counts as logged out wherever a session is asked for."""

    LOGGED_IN = "LOGGED_IN"
    LOGGED_OUT = "LOGGED_OUT"
    UNCERTAIN = "UNCERTAIN"


class LoginReason(enum.Enum):
    """Why a verdict is what it is, and what a piece of evidence would give as the reason."""

    VIEWER_OBJECT = "viewer_object"
    """The page's data names its viewer, or has the place for one and nobody there."""
    VIEWER_API = "viewer_api"
    """TikTok's own endpoints, asked from inside the page, name the viewer or say that there is none."""
    LOGIN_FLAG = "login_flag"
    """The page's `pumbaa-ctx` says `login=0` or `login=1`."""
    VIEWER_CONTROLS = "viewer_controls"
    """There is an inbox or a profile icon, as only a viewer gets."""
    LOGIN_BUTTON = "login_button"
    """There is a button to log in with."""
    CHALLENGE = "challenge"
    """TikTok shows a captcha, or a firewall's page, instead of what was asked for."""
    NOT_TIKTOK = "not_tiktok"
    """The page is not TikTok's."""
    CONFLICT = "conflict"
    """Evidence of the same strength contradicts itself."""
    UNREADABLE = "unreadable"
    """The page, or data in it, is broken or beyond the bounds of what is read."""
    NOTHING_FOUND = "nothing_found"
    """Nothing on the page tells."""
    TIMED_OUT = "timed_out"
    """The page did not tell in time."""
    NO_PROFILE = "no_profile"
    """There is no master profile, or an empty one: no page was asked."""


class Method(enum.Enum):
    """A way to find out, cheapest first; the values are the names that the API shows."""

    HTML = "html_content_analysis"
    DOM = "dom_element_detection"
    API = "api_request"


class Strength(enum.IntEnum):
    """What beats what: of the evidence at hand, only the strongest decides."""

    WORDS = 1
    """How often words stand on the page. Decides nothing: every page is full of them."""
    ABSENCE = 2
    """Nobody stands where the viewer would. Decides when all methods have found nothing better."""
    DOM = 3
    """An element that only one kind of viewer is shown."""
    STRUCTURE = 4
    """What TikTok's own data says."""


@attrs.frozen(kw_only=True)
class Evidence:
    """One thing found on a page.

    `rule` and `place` are names of ours for what was looked for and where, never page content; `count` is how
    often it was found there.
    """

    rule: str
    place: str
    points_to: LoginState
    strength: Strength
    reason: LoginReason
    count: int = 1


@attrs.frozen(kw_only=True)
class Finding:
    """What one method found, and how long it looked.

    `viewer` is the handle of whoever is logged in, where the page names it: for who asks, not for logs.
    """

    method: Method
    evidence: tuple[Evidence, ...] = ()
    viewer: str | None = attrs.field(default=None, repr=False)
    elapsed_ms: float = 0


@attrs.frozen(kw_only=True)
class Verdict:
    """The judgement on a page: the state, why, the method that decided it, and all that was found on the way.

    `tries` counts the pages that were looked at, refreshes included; `elapsed_ms` is all of it. `viewer` is
    the handle of whoever is logged in, where it is known: for who asks, not for logs.
    """

    state: LoginState
    reason: LoginReason
    method: Method
    findings: tuple[Finding, ...] = ()
    tries: int = 0
    elapsed_ms: int = 0
    viewer: str | None = attrs.field(default=None, repr=False)

    @property
    def next_step(self) -> str:
        """What whoever wanted a login is to do about its absence, as a sentence."""
        return _NEXT_STEPS.get(self.reason, _LOG_IN)


_LOG_IN = "The profile's login has expired: run greenroom login"
_NEXT_STEPS = {
    LoginReason.CHALLENGE: (
        "TikTok asks for a captcha: open the profile with greenroom login and solve it by hand"
    ),
    LoginReason.NOT_TIKTOK: (
        "Another page came instead of TikTok's: check the network, the proxy and tiktok_url"
    ),
    LoginReason.CONFLICT: (
        "The page contradicts itself: try again, and open the profile with greenroom login if it stays"
    ),
    LoginReason.UNREADABLE: (
        "The page can't be read to its end: try again, and judge a saved copy with greenroom verdict"
    ),
    LoginReason.NOTHING_FOUND: "The page does not tell: open the profile with greenroom login and look at it",
    LoginReason.TIMED_OUT: "The page did not tell in time: try again, or raise login_detection_timeout",
}
