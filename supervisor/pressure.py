"""How full the daemon is, for those who decide whether to ask it for one more session."""

import attrs


@attrs.frozen(kw_only=True)
class Pressure:
    """How many sessions there are at one moment, and how many more could be asked for.

    `sessions` were asked for and have not ended; at most `max_sessions` can. `room` is how many more are
    accepted, 0 once the supervisor drains. `warm` ones wait to be asked for. `queued` sessions wait until
    those that are `launching` have launched. `next_free_s` is after how many seconds one of the sessions must
    have ended; None while there is room, and while the supervisor drains.
    """

    sessions: int
    warm: int
    max_sessions: int
    room: int
    queued: int
    launching: int
    next_free_s: float | None
