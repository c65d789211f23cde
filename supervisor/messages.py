"""What the supervisor is asked; each request names where the one answer to it goes."""

import attrs
import outcome
import trio

from actors.lifecycle import SessionInfo
from actors.session import Caller


@attrs.frozen(kw_only=True)
class CreateSession:
    """Asks for a new session, which answers its caller itself."""

    caller: Caller


@attrs.frozen(kw_only=True)
class EndSession:
    """Asks for the end of a session; answered when everything that it owned is gone."""

    session_id: str
    reply_to: trio.MemorySendChannel[outcome.Maybe[None]]


@attrs.frozen(kw_only=True)
class GetSession:
    """Asks how a session is, or was when it ended."""

    session_id: str
    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]


@attrs.frozen(kw_only=True)
class ListSessions:
    """Asks for the sessions that have not ended, oldest first."""

    reply_to: trio.MemorySendChannel[outcome.Maybe[list[SessionInfo]]]


Message = CreateSession | EndSession | GetSession | ListSessions
