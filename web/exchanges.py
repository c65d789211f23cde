"""One request and its answer: the id that goes with both, and what happens if nobody can be told."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

import attrs
import structlog
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from quart import request
from quart_trio.asgi import TrioASGIHTTPConnection

from actors.errors import GreenroomError
from web.requests import request_id_of

UNDO_S = 1.0
_SCOPE_KEY = "greenroom.exchange"

_log = structlog.get_logger("greenroom.web")


@attrs.define(eq=False)
class Exchange:
    """What is known of the request that is being answered, and its `id`."""

    id: str
    undo: Callable[[], Awaitable[None]] | None = None
    """What to do if the answer can't be given any more, since its client has left. It has a second."""

    @staticmethod
    def current() -> "Exchange":
        """Return that of the request that Quart is handling."""
        return cast("Exchange", cast("dict[str, Any]", request.scope)[_SCOPE_KEY])


class ExchangeConnection(TrioASGIHTTPConnection):
    """Handles a request with an `Exchange` of its own, and shows its id as X-Request-Id in the answer."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request, or undo it."""
        given = [value.decode("latin-1") for name, value in self.scope["headers"] if name == b"x-request-id"]
        exchange = Exchange(request_id_of(given))
        cast("dict[str, Any]", self.scope)[_SCOPE_KEY] = exchange
        is_answered = False

        async def send_with_id(message: ASGISendEvent) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"X-Request-Id", exchange.id.encode())]
            await send(message)
            is_answered = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await super().__call__(receive, send_with_id)
        finally:
            if exchange.undo is not None and not is_answered:
                _log.info("the client left before its answer", request_id=exchange.id)
                with trio.move_on_after(UNDO_S, shield=True), contextlib.suppress(GreenroomError):
                    await exchange.undo()
