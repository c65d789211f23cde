"""One request and its answer: the id they share, and what to undo if the answer can't be delivered.

A WebSocket's handshake counts as a request until it is accepted.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import attrs
import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, WebsocketScope
from quart import Request, Websocket, has_websocket_context, request, websocket
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection

from greenroom.actors.errors import GreenroomError
from greenroom.web.http import audit
from greenroom.web.http.requests import request_id_of
from greenroom.web.http.who import Who

UNDO_S = 1.0
_SCOPE_KEY = "greenroom.exchange"
_LOGGED_CHARACTERS = 200

_log = structlog.get_logger("greenroom.web")


@attrs.define(eq=False)
class Exchange:
    """What is known about the request that is being answered, and its `id`."""

    id: str
    who: Who | None = None
    """Who has sent it: set once that is known; None for what everybody may ask."""
    names: Mapping[str, Any] | None = None
    """What its path has of sessions and profiles; None for a path that does not exist."""
    answered: dict[str, Any] = attrs.field(factory=dict)
    """What is noted of its answer."""
    undo: Callable[[], Awaitable[None]] | None = None
    """What to do if the answer can't be delivered because the client has left. It has one second."""

    @staticmethod
    def current() -> "Exchange":
        """Return the exchange of the request that Quart is handling."""
        return cast("Exchange", cast("dict[str, Any]", asked().scope)[_SCOPE_KEY])

    @classmethod
    def begin(cls, scope: HTTPScope | WebsocketScope) -> "Exchange":
        """Return a new exchange for the request in `scope`."""
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"]
        exchange = cls(request_id_of(given))
        cast("dict[str, Any]", scope)[_SCOPE_KEY] = exchange
        return exchange

    @property
    def asker(self) -> Who:
        """Who has sent it. Raises `LookupError` for what everybody may ask."""
        if self.who is None:
            raise LookupError("Everybody may ask for this, so it is not known who does")
        return self.who

    def note(self, method: str, scope: HTTPScope | WebsocketScope) -> None:
        """Leave the request's line in the audit, if it is known who has sent it, and its path exists."""
        if self.who is not None and self.names is not None:
            audit.note(method, path_of(scope), self.id, self.who, self.names, self.answered)

    def show_in(self, message: ASGISendEvent) -> None:
        """Add the id to the headers of an answer, if `message` has them."""
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            start = cast("dict[str, Any]", message)
            self.answered["status"] = start["status"]
            for name, value in start["headers"]:
                if name.lower() == b"x-session-id":
                    self.answered["session_id"] = value.decode()
            start["headers"] = [*start["headers"], (b"X-Request-Id", self.id.encode())]


def asked() -> Request | Websocket:
    """Return the request, or the handshake, that Quart is handling."""
    return websocket if has_websocket_context() else request


def path_of(scope: HTTPScope | WebsocketScope) -> str:
    """Return a request's path for the log: as it was sent, so without control characters."""
    return str(scope["raw_path"], "ascii", "replace")[:_LOGGED_CHARACTERS]


class ExchangeConnection(TrioASGIHTTPConnection):
    """Handles a request with its own `Exchange`, and shows the id as X-Request-Id in the answer."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request, or undo it."""
        exchange = Exchange.begin(self.scope)
        is_answered = False

        async def send_with_id(message: ASGISendEvent) -> None:
            nonlocal is_answered
            exchange.show_in(message)
            await send(message)
            is_answered = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await super().__call__(receive, send_with_id)
        finally:
            exchange.note(self.scope["method"], self.scope)
            if exchange.undo is not None and not is_answered:
                _log.info("the client left before its answer", request_id=exchange.id)
                with trio.move_on_after(UNDO_S, shield=True), contextlib.suppress(GreenroomError):
                    await exchange.undo()


class ExchangeWebsocket(TrioASGIWebsocketConnection):
    """Handles a WebSocket with its own `Exchange`, and shows the id if the handshake is refused."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve the client until either side closes."""
        exchange = Exchange.begin(self.scope)

        async def send_with_id(message: ASGISendEvent) -> None:
            exchange.show_in(message)
            await send(message)

        await super().__call__(receive, send_with_id)
