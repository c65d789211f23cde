"""Who did what: a line in the log for each request that may change something, and what became of it."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from greenroom.web.http.scopes import WEBSOCKET
from greenroom.web.http.who import Who

_CHANGING: Final = frozenset({"POST", "PATCH", "DELETE", WEBSOCKET})

_log = structlog.get_logger("greenroom.audit")


def note(
    method: str, path: str, request_id: str, who: Who, names: Mapping[str, Any], answered: Mapping[str, Any]
) -> None:
    """Log one request, once it is over: refused ones too, and those whose clients have hung up.

    A WebSocket's line comes when it does. `names` are what the path has of sessions and profiles; `answered`
    has the `status`, unless there was no answer, and the `session_id` of a session that was made.
    """
    if method not in _CHANGING:
        return
    more: dict[str, object] = dict(answered)
    if (session_id := names.get("session_id")) is not None:
        more["session_id"] = session_id
    if (profile := names.get("name")) is not None:
        more["profile"] = profile
    if who.link is not None:  # whose name anybody may have chosen
        more["link"] = who.link.id
    _log.info("audit", who=who.name, method=method, path=path, request_id=request_id, **more)
