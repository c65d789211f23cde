"""How much time and memory one client may take."""

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
    """How long a safe request continues after its client stopped sending; the client may still be reading."""
    linger_s: float = 1.0
    """For reading the end of the last answer."""
    spread: float = 0.2
    """A random extension of a request's times: clients that arrive together are not refused together."""
    head_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    message_bytes: int = 32 << 20
    """A message of a WebSocket."""
    ahead_bytes: int = 64 * 1024
    """How much a client may send before its current request is answered."""

    def spread_out(self, seconds: float) -> float:
        """Return the time with its random share."""
        return seconds * random.uniform(1, 1 + self.spread)  # noqa: S311 (no secret)
