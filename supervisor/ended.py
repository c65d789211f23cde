"""Ended sessions: how they were can be asked for some time."""

from collections import OrderedDict

import attrs
import trio

from actors.errors import SessionNotFound
from actors.lifecycle import SessionInfo

# How long an ended session can still be asked about, and how many of them at most.
KEEP_ENDED_S = 15 * 60
KEEP_ENDED = 10_000


@attrs.define(eq=False, repr=False)
class EndedSessions:
    """Remembers the last sessions for 15 minutes after their end."""

    _infos: OrderedDict[str, tuple[float, SessionInfo]] = attrs.field(factory=OrderedDict, init=False)

    def remember(self, info: SessionInfo) -> None:
        """Keep how a session ended, which it has just done."""
        self._infos[info.id] = (trio.current_time(), info)
        self._forget()

    def find(self, session_id: str) -> SessionInfo:
        """Return how a session ended. Raises `SessionNotFound`."""
        self._forget()
        if session_id not in self._infos:
            raise SessionNotFound(session_id)
        return self._infos[session_id][1]

    def since(self, moment: float) -> set[str]:
        """Return the sessions that ended after `moment`, on Trio's clock."""
        return {session_id for session_id, (ended_at, _) in self._infos.items() if ended_at > moment}

    def _forget(self) -> None:
        oldest_kept = trio.current_time() - KEEP_ENDED_S
        while self._infos:
            session_id, (ended_at, _info) = next(iter(self._infos.items()))
            if ended_at > oldest_kept and len(self._infos) <= KEEP_ENDED:
                return
            del self._infos[session_id]
