"""Who did what: a line in the log for each request that may change something, and what became of it."""

from typing import Final

import structlog
from quart import Response, has_websocket_context
from quart_trio import QuartTrio

from greenroom.web.http.exchanges import Exchange, asked, asked_path
from greenroom.web.http.scopes import WEBSOCKET

_CHANGING: Final = frozenset({"POST", "PATCH", "DELETE"})

_log = structlog.get_logger("greenroom.audit")


def add_audit(app: QuartTrio) -> None:
    """Log who has sent each changing request, once it is answered, and each WebSocket, when it comes.

    A request by nobody known, or for a path that does not exist, is none: it has its line as a refusal.
    """

    async def note(response: Response) -> Response:
        if not has_websocket_context() and asked().method in _CHANGING:
            _note(asked().method, response.headers.get("X-Session-Id"), status=response.status_code)
        return response

    async def note_websocket() -> None:
        _note(WEBSOCKET)

    app.after_request(note)
    app.before_websocket(note_websocket)


def _note(method: str, session_id: str | None = None, **more: object) -> None:
    exchange, names = Exchange.current(), asked().view_args
    if exchange.who is None or names is None:
        return
    if (session_id := session_id or names.get("session_id")) is not None:
        more["session_id"] = session_id
    if (profile := names.get("name")) is not None:
        more["profile"] = profile
    if exchange.who.link is not None:  # whose name anybody may have chosen
        more["link"] = exchange.who.link.id
    _log.info(
        "audit", who=exchange.who.name, method=method, path=asked_path(), request_id=exchange.id, **more
    )
