"""The shapes of the answers about the daemon's own state."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from greenroom.supervisor.pressure import Pressure
from greenroom.web.http.schemas import TikTokSessionResponse


class Ready(msgspec.Struct, kw_only=True):
    """The answer to `GET /ready`: a session that is asked for now can be expected to go live."""

    status: Literal["ready"] = "ready"


class PressureAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /pressure`: how full the daemon is.

    `sessions` were asked for and have not ended; at most `max_sessions` can. `room` is how many more are
    accepted, 0 once the daemon is stopping; `warm` ones wait to be asked for. `queued` sessions wait until
    those that are `launching` have launched. `next_free_at` is when one of the sessions must have ended: null
    while there is room, and while the daemon is stopping.
    """

    sessions: int
    warm: int
    max_sessions: int
    room: int
    queued: int
    launching: int
    next_free_at: datetime | None

    @classmethod
    def of(cls, pressure: Pressure) -> "PressureAnswer":
        """Return the answer for what the supervisor says."""
        free_s = pressure.next_free_s
        return cls(
            message="There is room" if pressure.room else "There is no room",
            sessions=pressure.sessions,
            warm=pressure.warm,
            max_sessions=pressure.max_sessions,
            room=pressure.room,
            queued=pressure.queued,
            launching=pressure.launching,
            next_free_at=None if free_s is None else datetime.now(UTC) + timedelta(seconds=free_s),
        )
