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
    """The page is not TikTok's, or nothing on it proves that it is."""
    BLOCKED = "blocked"
    """The page was refused: its HTTP status, 400 to 499, is in the finding."""
    RATE_LIMITED = "rate_limited"
    """HTTP 429: too many requests."""
    REGION_BLOCKED = "region_blocked"
    """TikTok is not to be had where the request comes from."""
    ACCOUNT_RESTRICTED = "account_restricted"
    """Something stands between the account and the site: the gate says what."""
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


class Gate(enum.Enum):
    """What a page puts before a viewer, whom it may well know."""

    ACCOUNT_SUSPENDED = "account_suspended"
    AGE = "age"
    CONSENT = "consent"
    """Terms or a choice to be agreed to."""
    IDENTITY = "identity"
    """"Verify it's you"."""
    TWO_STEP = "two_step"
    ERROR = "error"
    """"Something went wrong" instead of the page."""


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
    often it was found there. `may_pass` says that the page may go on to another one by itself, `gate` what
    it puts before its viewer.
    """

    rule: str
    place: str
    points_to: LoginState
    strength: Strength
    reason: LoginReason
    count: int = 1
    may_pass: bool = False
    gate: Gate | None = None


@attrs.frozen(kw_only=True)
class Finding:
    """What one method found, and how long it looked.

    `document` tells one page from the next that the same browser shows; `status` is the HTTP status with
    which it came, `retry_after_s` how long it asked to be left alone. `viewer` is the handle of whoever is
    logged in, where the page names it: for who asks, not for logs.
    """

    method: Method
    evidence: tuple[Evidence, ...] = ()
    document: str = ""
    status: int | None = None
    retry_after_s: int | None = None
    viewer: str | None = attrs.field(default=None, repr=False)
    elapsed_ms: float = 0


@attrs.frozen(kw_only=True)
class Verdict:
    """The judgement on a page: the state, why, the method that decided it, and all that was found on the way.

    `gate` is what stands before the viewer, if anything; sessions behind one are of use to nobody, unless
    `allow_restricted`. `status` and `retry_after_s` are those of the page that decided. `tries` counts the
    loads that were looked at, refreshes included; `elapsed_ms` is all of it. `viewer` is the handle of
    whoever is logged in, where it is known: for who asks, not for logs.
    """

    state: LoginState
    reason: LoginReason
    method: Method
    gate: Gate | None = None
    status: int | None = None
    retry_after_s: int | None = None
    allow_restricted: bool = False
    findings: tuple[Finding, ...] = ()
    tries: int = 0
    elapsed_ms: int = 0
    viewer: str | None = attrs.field(default=None, repr=False)

    @property
    def is_usable(self) -> bool:
        """Whether a session on this page is one to hand out."""
        return self.state is LoginState.LOGGED_IN and (self.gate is None or self.allow_restricted)

    @property
    def next_step(self) -> str:
        """What whoever wanted a login is to do about its absence, as a sentence."""
        match self.reason:
            case LoginReason.BLOCKED if self.status == _NOT_FOUND:
                return "There is no such page (HTTP 404): check tiktok_url"
            case LoginReason.BLOCKED:
                status = f" (HTTP {self.status})" if self.status else ""
                return f"The site refuses this browser or its address{status}: try another network or proxy"
            case LoginReason.RATE_LIMITED:
                when = f" in {self.retry_after_s} seconds" if self.retry_after_s else ", later"
                return f"The site had too many requests from here (HTTP 429): try again{when}"
            case LoginReason.ACCOUNT_RESTRICTED if self.gate:
                return f"{_GATES[self.gate]}, or set allow_restricted to have such sessions anyway"
            case reason:
                return _NEXT_STEPS.get(reason, _LOG_IN)


_NOT_FOUND = 404
_LOG_IN = "The profile's login has expired: run greenroom login"
_NEXT_STEPS = {
    LoginReason.CHALLENGE: (
        "TikTok asks for a captcha: open the profile with greenroom login and solve it by hand"
    ),
    LoginReason.NOT_TIKTOK: (
        "Another page came instead of TikTok's: check the network, the proxy and tiktok_url"
    ),
    LoginReason.REGION_BLOCKED: (
        "TikTok is not available where the request comes from: use a proxy in another country"
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
_GATES = {
    Gate.ACCOUNT_SUSPENDED: "The account is suspended: open the profile with greenroom login and appeal",
    Gate.AGE: "The site asks for the viewer's age: open the profile with greenroom login and answer it",
    Gate.CONSENT: "The site asks for an agreement: open the profile with greenroom login and decide on it",
    Gate.IDENTITY: "The site wants the viewer verified: open the profile with greenroom login and do so",
    Gate.TWO_STEP: "The login lacks its second step: open the profile with greenroom login and finish it",
    Gate.ERROR: "The site shows an error instead of its page: try again later",
}
