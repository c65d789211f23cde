"""Who may ask: checks the request's host, the origin of the web page, the token, and what that allows."""

import ipaddress
import re

import attrs
from quart import has_websocket_context
from quart_trio import QuartTrio
from werkzeug.exceptions import BadRequest, NotFound

from greenroom.actors.errors import SessionNotFound
from greenroom.supervisor.api import Supervisor
from greenroom.web.http.access import identify
from greenroom.web.http.dashboard_routes import is_open, is_page
from greenroom.web.http.errors import HostNotAllowed, OriginNotAllowed
from greenroom.web.http.exchanges import Exchange, asked
from greenroom.web.http.links import Links
from greenroom.web.http.rates import Rates
from greenroom.web.http.scopes import WEBSOCKET, scope_of
from greenroom.web.http.tokens import Scope, Tokens
from greenroom.web.http.who import Who
from greenroom.web.settings import DaemonSettings

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]@/]+))(?::[0-9]*)?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def add_guards(
    app: QuartTrio, supervisor: Supervisor, settings: DaemonSettings, tokens: Tokens, links: Links
) -> None:
    """Make the app refuse unauthorized requests before it does anything else."""
    guard = HostGuard(settings)
    access = AccessGuard(supervisor, tokens, links)

    async def check_path() -> None:
        """Refuse a path that the router would take for another: a proxy in front of us would not."""
        if asked().scope["raw_path"].startswith(b"//"):
            raise NotFound

    async def check_host() -> None:
        """Keep out web pages that made their own name resolve to this machine."""
        host = asked().headers.get("Host")
        if not host:  # only HTTP/1.0 requests get here without one
            raise BadRequest("The request has no Host header")
        if not guard.allows(host):
            raise HostNotAllowed("The Host header names another host; allowed_hosts can add names")

    async def check_origin() -> None:
        """Keep out web pages of other origins where CORS doesn't: a POST without a body, and WebSockets."""
        is_guarded = has_websocket_context() or asked().method in {"POST", "PATCH", "DELETE"}
        if (origin := asked().headers.get("Origin")) is None:
            _check_fetch_site()
        elif is_guarded and origin not in settings.cors_origins and not _is_own_page(origin):
            raise OriginNotAllowed("The page's origin is not among cors_origins")

    for check in (check_path, check_host, check_origin, access.check):
        app.before_request(check)
        app.before_websocket(check)


def _check_fetch_site() -> None:
    """Keep out what a page of another site asks for without an Origin, as by a link or a picture.

    Browsers say so in a header that pages can't set. A session's own pages are among them.
    """
    headers = asked().headers
    if is_page(asked().path) and headers.get("Sec-Fetch-Mode") == "navigate":
        return  # somebody follows a link to the dashboard, which asks for everything else itself
    if headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise OriginNotAllowed("A page of another site can't ask this of the daemon")


def _is_own_page(origin: str) -> bool:
    """Return whether a request comes from the dashboard, which the daemon serves under the same host."""
    scheme, _, host = origin.partition("://")
    return scheme in {"http", "https"} and host == asked().headers.get("Host")


@attrs.frozen
class AccessGuard:
    """Finds out who asks, and refuses what they may not do."""

    _supervisor: Supervisor
    _tokens: Tokens
    _links: Links
    _rates: Rates = attrs.field(factory=Rates, init=False)

    async def check(self) -> None:
        """Check the request, or the handshake, that Quart is handling."""
        is_websocket, request = has_websocket_context(), asked()
        if not is_websocket and (request.method == "OPTIONS" or is_open(request.path)):
            return
        who = identify(self._tokens, self._links)
        exchange = Exchange.current()
        exchange.who, exchange.names = who, request.view_args
        if is_websocket:
            exchange.note(WEBSOCKET, request.scope)
        self._rates.take(who.token if who.link is None else who.link.maker)
        method = WEBSOCKET if is_websocket else request.method
        route = request.url_rule.rule if request.url_rule else None
        who.check(method, route, request.path)
        names = request.view_args or {}
        if (session_id := names.get("session_id")) is not None:
            self._check_session(who, session_id, scope_of(method, route))
        elif (profile := names.get("name")) is not None:
            who.check_profile(profile)

    def _check_session(self, who: Who, session_id: str, needed: Scope) -> None:
        """Hide the sessions of profiles that a token is not for, and keep it from what changes a profile."""
        try:
            profile = self._supervisor.handle(session_id).info().profile
        except SessionNotFound:
            if who.sees_all:
                return  # the route knows better what to answer
            raise
        who.check_session(session_id, profile.name)
        if needed > Scope.READ:
            who.check_use(profile)


class HostGuard:
    """Says which Host headers are for this daemon. The port does not matter, since ports get forwarded.

    Allowed are the daemon's address, localhost and `allowed_hosts`; on a wildcard address, any address too.
    At a Unix socket there is no address: clients say localhost, and a proxy hands on a name of
    `allowed_hosts`. A daemon that others can reach has a token, which no page knows. It allows every host,
    unless `allowed_hosts` is set.
    """

    def __init__(self, settings: DaemonSettings) -> None:
        bound, _port = settings.address or ("localhost", 0)
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
