"""Who may ask: checks the request's host, the origin of the web page, and the token."""

import hmac
import ipaddress
import re

from quart import has_websocket_context
from quart_trio import QuartTrio
from werkzeug.exceptions import BadRequest

from greenroom.web.http.errors import HostNotAllowed, OriginNotAllowed, Unauthorized
from greenroom.web.http.exchanges import asked
from greenroom.web.http.requests import UNAUTHORIZED
from greenroom.web.settings import DaemonSettings

OPEN_PATHS = {"/health"}

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]@/]+))(?::[0-9]*)?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def add_guards(app: QuartTrio, settings: DaemonSettings) -> None:
    """Make the app refuse unauthorized requests before it does anything else."""
    guard = HostGuard(settings)

    async def check_host() -> None:
        """Keep out web pages that made their own name resolve to this machine."""
        host = asked().headers.get("Host")
        if not host:  # only HTTP/1.0 requests get here without one
            raise BadRequest
        if not guard.allows(host):
            raise HostNotAllowed("The Host header names another host; allowed_hosts can add names")

    async def check_origin() -> None:
        """Keep out web pages of other origins where CORS doesn't: a POST without a body, and WebSockets."""
        is_guarded = has_websocket_context() or asked().method in {"POST", "PATCH", "DELETE"}
        if (origin := asked().headers.get("Origin")) is None:
            _check_fetch_site()
        elif is_guarded and origin not in settings.cors_origins:
            raise OriginNotAllowed("The page's origin is not among cors_origins")

    async def check_token() -> None:
        is_open = asked().path in OPEN_PATHS or asked().method == "OPTIONS"
        if not is_open and not has_token(settings, asked().headers.getlist("Authorization")):
            raise Unauthorized(UNAUTHORIZED)

    for check in (check_host, check_origin, check_token):
        app.before_request(check)
        app.before_websocket(check)


def has_token(settings: DaemonSettings, given: list[str]) -> bool:
    """Return whether a request's Authorization headers, `given`, hold the token, if the daemon has one."""
    if settings.token is None:
        return True
    scheme, token = [*given[0].split(maxsplit=1), "", ""][:2] if len(given) == 1 else ("", "")
    is_right = hmac.compare_digest(token.strip().encode(), settings.token.reveal().encode())
    return scheme.lower() == "bearer" and is_right


def _check_fetch_site() -> None:
    """Keep out what a page of another site asks for without an Origin, as by a link or a picture.

    Browsers say so in a header that pages can't set. A session's own pages are among them.
    """
    if asked().headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise OriginNotAllowed("A page of another site can't ask this of the daemon")


class HostGuard:
    """Says which Host headers are for this daemon. The port does not matter, since ports get forwarded.

    Allowed are the daemon's address, localhost and `allowed_hosts`; on a wildcard address, any address too. A
    daemon that others can reach has a token, which no page knows. It allows every host, unless
    `allowed_hosts` is set.
    """

    def __init__(self, settings: DaemonSettings) -> None:
        bound, _port = settings.address
        self._hosts = frozenset(_plain(host) for host in {bound, *_LOOPBACK, *settings.allowed_hosts})
        self._is_open = not settings.is_loopback and not settings.allowed_hosts
        self._takes_addresses = _is_address(bound) and ipaddress.ip_address(bound).is_unspecified

    def allows(self, header: str) -> bool:
        """Return whether `header` names this daemon."""
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        host = _plain(match["ipv6"] or match["name"])
        if self._is_open or host in self._hosts:
            return True
        return self._takes_addresses and _is_address(host)


def _plain(host: str) -> str:
    """Return `host` normalized for comparison: lower case, no trailing dot, addresses in one form."""
    host = host.lower().removesuffix(".")
    return str(ipaddress.ip_address(host)) if _is_address(host) else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
