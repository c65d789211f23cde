"""The words of a login verdict."""

import enum
from collections.abc import Mapping

import attrs


class LoginState(enum.Enum):
    """What a page says of its viewer. UNCERTAIN counts as logged out wherever a session is asked for."""

    LOGGED_IN = "LOGGED_IN"
    LOGGED_OUT = "LOGGED_OUT"
    UNCERTAIN = "UNCERTAIN"


class Method(enum.Enum):
    """A way to find out, cheapest first; the values are the names that the API shows."""

    HTML = "html_content_analysis"
    DOM = "dom_element_detection"
    API = "api_request"


@attrs.frozen(kw_only=True)
class Finding:
    """What one method found on a page.

    `indicators` counts what it saw, by the rule that saw it: names of our own rules only, never page content.
    """

    method: Method
    state: LoginState
    indicators: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Verdict:
    """The judgement on a page: the state, the method that decided it, and all that was found on the way.

    `tries` counts the pages that were looked at, refreshes included; `elapsed_ms` is all of it.
    """

    state: LoginState
    method: Method
    findings: tuple[Finding, ...] = ()
    tries: int = 0
    elapsed_ms: int = 0
