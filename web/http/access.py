"""How it is known who asks: by a token, by a cookie that stands for one, or by a link."""

import functools
import hashlib
import hmac
import time
from typing import Final

import trio

from greenroom.web.http.errors import Unauthorized
from greenroom.web.http.exchanges import asked
from greenroom.web.http.links import Link, Links
from greenroom.web.http.requests import UNAUTHORIZED
from greenroom.web.http.tokens import Scope, Token, Tokens
from greenroom.web.http.who import Who, cancel_after

COOKIE: Final = "greenroom"
COOKIE_S: Final = 7 * 24 * 3600
# A WebSocket of a web page can't have an Authorization header; it names what it has as a subprotocol.
SUBPROTOCOL: Final = "greenroom"
_LINK_SUBPROTOCOL: Final = "greenroom.link."


def identify(tokens: Tokens, links: Links) -> Who:
    """Return who has sent the request. Raises `Unauthorized`."""
    headers = asked().headers
    given = headers.getlist("Authorization")
    if (secret := _link_token(given, headers.getlist("Sec-WebSocket-Protocol"))) is not None:
        link = links.find(secret)
        if link is None or not (link.maker is None or tokens.holds(link.maker)):
            raise Unauthorized("The link has expired, was revoked, or is not of this daemon")
        return Who(link=link, wait_over=functools.partial(_wait_over, link, tokens, links))
    if not tokens:
        return Who()
    token = tokens.find(bearer(given)) or _find_cookie(tokens, headers.getlist("Cookie"))
    if token is None:
        raise Unauthorized(UNAUTHORIZED)
    return Who(token=token, wait_over=functools.partial(tokens.wait_over, token))


async def _wait_over(link: Link, tokens: Tokens, links: Links) -> None:
    """Return once a link holds no longer, or the token that it was made with."""
    async with trio.open_nursery() as nursery:
        if link.maker is not None:
            over = functools.partial(tokens.wait_over, link.maker)
            nursery.start_soon(cancel_after, over, nursery.cancel_scope)
        await links.wait_over(link)
        nursery.cancel_scope.cancel(reason="the link is over")


def may_use(tokens: Tokens, given: list[str]) -> bool:
    """Return whether a request's Authorization headers, `given`, hold a token that may use sessions.

    Nobody needs one if the daemon has none.
    """
    token = tokens.find(bearer(given))
    return not tokens or (token is not None and token.scope >= Scope.CONTROL)


def make_cookie(token: Token, now: float | None = None) -> str:
    """Return the value of a cookie that stands for a token, for a week. It holds after a restart, too."""
    until = round((time.time() if now is None else now) + COOKIE_S)
    return f"{token.name}.{until}.{_sign(token, until)}"


def _find_cookie(tokens: Tokens, given: list[str]) -> Token | None:
    """Return the token for which there is a valid cookie in a request's Cookie headers.

    The standard library's parser takes seconds for some headers. Our cookie needs none of what it does.
    """
    for pair in ";".join(given).split(";"):
        name, _, value = pair.partition("=")
        if name.strip() == COOKIE and (token := _token_of(tokens, value.strip())) is not None:
            return token
    return None


def _token_of(tokens: Tokens, cookie: str) -> Token | None:
    name, _, rest = cookie.partition(".")
    until, _, signature = rest.partition(".")
    token = tokens.named(name)
    if not until.isascii() or not until.isdecimal() or len(until) > 12 or int(until) < time.time():
        return None
    if token is None or not hmac.compare_digest(signature.encode(), _sign(token, int(until)).encode()):
        return None
    return token


def _sign(token: Token, until: int) -> str:
    message = f"dashboard of {token.name} until {until}"
    return hmac.new(token.secret.reveal().encode(), message.encode(), hashlib.sha256).hexdigest()


def bearer(given: list[str]) -> str:
    """Return the bearer token in a request's Authorization headers; without exactly one, an empty text."""
    scheme, token = [*given[0].split(maxsplit=1), "", ""][:2] if len(given) == 1 else ("", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _link_token(given: list[str], subprotocols: list[str]) -> str | None:
    """Return the link that a request comes with, if it has one."""
    if Links.is_token(token := bearer(given)):
        return token
    for word in ",".join(subprotocols).split(","):
        if word.strip().startswith(_LINK_SUBPROTOCOL):
            return word.strip().removeprefix(_LINK_SUBPROTOCOL)
    return None
