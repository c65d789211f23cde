"""What one client may take of the server."""

import random

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """How long a client may take, in seconds, and how much it may send, in bytes."""

    head_s: float = 10.0
    """For a request's headers, from the start of the connection or the first byte of a further request."""
    body_s: float = 20.0
    """For a request's body."""
    idle_s: float = 30.0
    """Between an answer and the next request."""
    write_s: float = 10.0
    """For taking 64 KiB of an answer."""
    half_closed_s: float = 0.5
    """How long a safe request goes on when its client sends no more, and may still read."""
    linger_s: float = 1.0
    """For reading the end of the last answer."""
    spread: float = 0.2
    """By which share, at random, a request's times may be longer: who came at once is not refused at once."""
    head_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    ahead_bytes: int = 64 * 1024
    """What may be sent after a request before that is answered."""

    def spread_out(self, seconds: float) -> float:
        """Return the time with its random share."""
        return seconds * random.uniform(1, 1 + self.spread)  # noqa: S311 (no secret)
