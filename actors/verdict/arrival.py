"""What is known about a page besides its HTML: how the server answered, and what a browser shows of it."""

import math
import re
import time
from urllib.parse import urlsplit

import attrs

from greenroom.actors.verdict.verdict import Evidence, LoginReason, LoginState, Strength

_REGION_PATH = re.compile(r"/[a-z]{2}/notfound/?", re.ASCII)
_TOO_MANY, _LEGAL, _REFUSED = 429, 451, 400
_MAX_RETRY_AFTER_S, _MAX_DIGITS = 24 * 60 * 60, 9  # int() raises beyond 4,300 digits


@attrs.frozen
class Shown:
    """What a browser shows of a page.

    `headlines` are the texts of headings and dialogs; `names` are the ids and data-e2e that may be a gate's.
    """

    captcha: bool = False
    headlines: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Arrival:
    """How a page was answered.

    `is_elsewhere` means that another site has answered than the one that was asked; `is_proven`, that the
    address is the site's own. For a file nothing is known, and all fields have their defaults.
    """

    is_elsewhere: bool = False
    is_proven: bool = False
    path: str = ""
    document: str = ""
    status: int | None = None
    retry_after_s: int | None = None
    shown: Shown | None = None


def path_of(address: str) -> str:
    """Return an address's path, "" if it has none."""
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def seconds_to_wait(retry_after: str) -> int | None:
    """Return the seconds of a Retry-After header, which may hold a date, or None if it can't be read."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(int(retry_after[:_MAX_DIGITS]), _MAX_RETRY_AFTER_S)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # hardly ever needed

    try:
        seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, TypeError, ArithmeticError):
        return None
    return min(max(math.ceil(seconds), 0), _MAX_RETRY_AFTER_S)


def is_region_path(path: str) -> bool:
    """Return whether this is where TikTok sends regions that it does not serve, such as /hk/notfound."""
    return bool(_REGION_PATH.fullmatch(path))


def stop(rule: str, place: str, reason: LoginReason, *, may_pass: bool = False) -> Evidence:
    """Return evidence that the page is not the one that was asked for."""
    return Evidence(
        rule=rule,
        place=place,
        points_to=LoginState.UNCERTAIN,
        strength=Strength.STRUCTURE,
        reason=reason,
        may_pass=may_pass,
    )


def refusal(status: int | None, *, may_pass: bool) -> Evidence | None:
    """Return the evidence of an HTTP status, or None if it is not a refusal."""
    if status is None or status < _REFUSED:
        return None
    reasons = {_TOO_MANY: LoginReason.RATE_LIMITED, _LEGAL: LoginReason.REGION_BLOCKED}
    return stop(f"HTTP {status}", "status", reasons.get(status, LoginReason.BLOCKED), may_pass=may_pass)
