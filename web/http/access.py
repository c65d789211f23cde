"""How it is known who asks: by the daemon's token, by a cookie that stands for it, or by a link."""

import hashlib
import hmac
import time
from http.cookies import CookieError, SimpleCookie
from typing import Final

from greenroom.supervisor.secret import Secret
from greenroom.web.http.errors import Unauthorized
from greenroom.web.http.exchanges import asked
from greenroom.web.http.links import Links
from greenroom.web.http.requests import UNAUTHORIZED
from greenroom.web.http.who import Who
from greenroom.web.settings import DaemonSettings

COOKIE: Final = "greenroom"
COOKIE_S: Final = 7 * 24 * 3600
# A WebSocket of a web page can't have an Authorization header; it names what it has as a subprotocol.
SUBPROTOCOL: Final = "greenroom"
_LINK_SUBPROTOCOL: Final = "greenroom.link."


def identify(settings: DaemonSettings, links: Links) -> Who:
    """Return who has sent the request. Raises `Unauthorized`."""
    headers = asked().headers
    given = headers.getlist("Authorization")
    if (token := _link_token(given, headers.getlist("Sec-WebSocket-Protocol"))) is not None:
        link = links.find(token)
        if link is None:
            raise Unauthorized("The link has expired, was revoked, or is not of this daemon")
        return Who(link)
    if has_token(settings, given) or has_cookie(settings, headers.getlist("Cookie")):
        return Who()
    raise Unauthorized(UNAUTHORIZED)


def has_token(settings: DaemonSettings, given: list[str]) -> bool:
    """Return whether a request's Authorization headers, `given`, hold the token, if the daemon has one."""
    return settings.token is None or is_token(settings.token, _bearer(given))


def is_token(token: Secret, given: str) -> bool:
    """Return whether `given` is the daemon's token."""
    return hmac.compare_digest(given.encode(), token.reveal().encode())


def make_cookie(token: Secret, now: float | None = None) -> str:
    """Return the value of a cookie that stands for the token, for a week. It holds after a restart, too."""
    until = round((time.time() if now is None else now) + COOKIE_S)
    return f"{until}.{_sign(token, until)}"


def has_cookie(settings: DaemonSettings, given: list[str]) -> bool:
    """Return whether a request's Cookie headers hold a valid cookie for the daemon's token."""
    if settings.token is None:
        return False
    for header in given:
        try:
            morsel = SimpleCookie(header).get(COOKIE)
        except CookieError:
            continue
        if morsel is not None and _is_valid(settings.token, morsel.value):
            return True
    return False


def _is_valid(token: Secret, cookie: str) -> bool:
    until, _, signature = cookie.partition(".")
    if not until.isascii() or not until.isdecimal() or len(until) > 12 or int(until) < time.time():
        return False
    return hmac.compare_digest(signature.encode(), _sign(token, int(until)).encode())


def _sign(token: Secret, until: int) -> str:
    return hmac.new(token.reveal().encode(), f"dashboard until {until}".encode(), hashlib.sha256).hexdigest()


def _bearer(given: list[str]) -> str:
    scheme, token = [*given[0].split(maxsplit=1), "", ""][:2] if len(given) == 1 else ("", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _link_token(given: list[str], subprotocols: list[str]) -> str | None:
    """Return the link that a request comes with, if it has one."""
    if Links.is_token(bearer := _bearer(given)):
        return bearer
    for word in ",".join(subprotocols).split(","):
        if word.strip().startswith(_LINK_SUBPROTOCOL):
            return word.strip().removeprefix(_LINK_SUBPROTOCOL)
    return None
