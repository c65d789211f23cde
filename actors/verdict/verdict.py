"""The vocabulary of a login verdict: what was found, how strong it is, and what follows from it."""

import enum

import attrs


class LoginState(enum.Enum):
    """What a page says about its viewer. A request for a session treats UNCERTAIN as logged out."""

    LOGGED_IN = "LOGGED_IN"
    LOGGED_OUT = "LOGGED_OUT"
    UNCERTAIN = "UNCERTAIN"


class LoginReason(enum.Enum):
    """The reason for a verdict, and the reason that a piece of evidence would give."""

    VIEWER_OBJECT = "viewer_object"
    """The page's data names its viewer, or has an empty place for one."""
    VIEWER_API = "viewer_api"
    """TikTok's own endpoints, asked from inside the page, name the viewer or say that there is none."""
    LOGIN_FLAG = "login_flag"
    """The page's `pumbaa-ctx` says `login=0` or `login=1`."""
    VIEWER_CONTROLS = "viewer_controls"
    """There is an inbox or a profile icon, which only a logged-in viewer gets."""
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
    """TikTok is not available where the request comes from."""
    ACCOUNT_RESTRICTED = "account_restricted"
    """Something keeps the account from the site; the gate says what."""
    CONFLICT = "conflict"
    """Evidence of the same strength contradicts itself."""
    UNREADABLE = "unreadable"
    """The page, or data in it, is broken or exceeds the reader's bounds."""
    NOTHING_FOUND = "nothing_found"
    """Nothing on the page shows who its viewer is."""
    TIMED_OUT = "timed_out"
    """The page did not show in time who its viewer is."""
    NO_PROFILE = "no_profile"
    """There is no master profile, or it is empty; no page was loaded."""


class Gate(enum.Enum):
    """What a page puts in front of a viewer, who may well be logged in."""

    ACCOUNT_SUSPENDED = "account_suspended"
    AGE = "age"
    CONSENT = "consent"
    """Terms to agree to, or a choice to make."""
    IDENTITY = "identity"
    """"Verify it's you"."""
    TWO_STEP = "two_step"
    ERROR = "error"
    """"Something went wrong" instead of the page."""


class Method(enum.Enum):
    """A way to find out who the viewer is, cheapest first; the values are the API's names."""

    HTML = "html_content_analysis"
    DOM = "dom_element_detection"
    API = "api_request"


class Strength(enum.IntEnum):
    """The strength of evidence; only the strongest that was found decides."""

    WORDS = 1
    """How often words occur on the page. Never decides: every page is full of them."""
    ABSENCE = 2
    """The viewer's place is empty. Decides only if no method has found anything stronger."""
    DOM = 3
    """An element that is shown to only one kind of viewer."""
    STRUCTURE = 4
    """What TikTok's own data says."""


@attrs.frozen(kw_only=True)
class Evidence:
    """One thing found on a page.

    `rule` and `place` are our own names for what was looked for and where, never page content; `count` is how
    often it was found there. `may_pass` means that the page may lead to another one by itself; `gate` is what
    it puts in front of its viewer.
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
    """What one method found, and how long it took.

    `document` differs for each page that one browser shows. `status` is the page's HTTP status, and
    `retry_after_s` the delay that the site asked for. `viewer` is the handle of the logged-in user, if the
    page names it; it is for the caller, and never logged.
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
    """The judgement on a page: the state, the reason, the method that decided, and everything that was found.

    `gate` is what keeps the viewer from the site, if anything; a session behind one is usable only with
    `allow_restricted`. `status` and `retry_after_s` are those of the page that decided. `tries` counts the
    loads, refreshes included; `elapsed_ms` is the time for all of them. `viewer` is the handle of the
    logged-in user, if it is known; it is for the caller, and never logged.
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
        """Whether a session on this page should be handed out."""
        return self.state is LoginState.LOGGED_IN and (self.gate is None or self.allow_restricted)

    @property
    def next_step(self) -> str:
        """What to do about the missing login, as a sentence."""
        match self.reason:
            case LoginReason.BLOCKED if self.status == _NOT_FOUND:
                return "There is no such page (HTTP 404): check tiktok_url"
            case LoginReason.BLOCKED:
                status = f" (HTTP {self.status})" if self.status else ""
                return f"The site refuses this browser or its address{status}: try another network or proxy"
            case LoginReason.RATE_LIMITED:
                when = f" in {self.retry_after_s} seconds" if self.retry_after_s else ", later"
                return f"The site got too many requests from here (HTTP 429): try again{when}"
            case LoginReason.ACCOUNT_RESTRICTED if self.gate:
                return f"{_GATES[self.gate]}, or set allow_restricted to get such sessions anyway"
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
        "The page contradicts itself: try again; if it persists, open the profile with greenroom login"
    ),
    LoginReason.UNREADABLE: (
        "The page can't be read to its end: try again, or check a saved copy with greenroom verdict"
    ),
    LoginReason.NOTHING_FOUND: (
        "The page doesn't show who is logged in: open the profile with greenroom login and look at it"
    ),
    LoginReason.TIMED_OUT: (
        "The page didn't show in time who is logged in: try again, or raise login_detection_timeout"
    ),
}
_GATES = {
    Gate.ACCOUNT_SUSPENDED: "The account is suspended: open the profile with greenroom login and appeal",
    Gate.AGE: "The site asks for the viewer's age: open the profile with greenroom login and enter it",
    Gate.CONSENT: (
        "The site asks you to agree to its terms: open the profile with greenroom login and decide"
    ),
    Gate.IDENTITY: (
        "The site asks you to verify your identity: open the profile with greenroom login and do so"
    ),
    Gate.TWO_STEP: (
        "The login still needs its second step: open the profile with greenroom login and finish it"
    ),
    Gate.ERROR: "The site shows an error instead of its page: try again later",
}
