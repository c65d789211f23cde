"""How many besiege the daemon, and with what."""

from typing import Final

import attrs

MAX_SESSIONS: Final = 100
LAUNCH_S: Final = 0.2
"""How long a session takes, so that there is a time to hang up."""

WATCHERS_OF_ONE: Final = 50
"""So many may watch one session."""


@attrs.frozen(kw_only=True)
class Plan:
    """How many there are of each kind. All are there at once, for `seconds`."""

    idle: int
    """Connections that send nothing, and as many WebSockets that are open and say nothing."""
    slow: int
    """Clients that send a byte a second."""
    bodies: int
    """Clients that send bodies of `body_bytes`, half of them in chunks, one after the other."""
    body_bytes: int
    hang_ups: int
    """Creations whose clients leave."""
    seconds: float


WHOLE: Final = Plan(idle=500, slow=500, bodies=20, body_bytes=100_000_000, hang_ups=2000, seconds=30)
SHORT: Final = Plan(idle=100, slow=50, bodies=4, body_bytes=20_000_000, hang_ups=100, seconds=3)
