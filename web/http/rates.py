"""How often requests may be made with a token."""

import attrs
import trio

from greenroom.web.http.errors import TooManyRequests
from greenroom.web.http.tokens import Token

_MINUTE_S = 60.0


@attrs.define(eq=False, repr=False)
class Rates:
    """Counts requests by token: a bucket each that fills evenly, and holds a minute's requests at most."""

    _full_at: dict[str, float] = attrs.field(factory=dict, init=False)

    def take(self, token: Token | None) -> None:
        """Count one request. Raises `TooManyRequests` if the token has none left now."""
        if token is None or token.requests_per_minute is None:
            return
        now, each_s = trio.current_time(), _MINUTE_S / token.requests_per_minute
        full_at = max(self._full_at.get(token.name, now), now) + each_s
        if full_at > now + _MINUTE_S:
            raise TooManyRequests(
                f"The token {token.name} allows {token.requests_per_minute} requests a minute",
                retry_after_s=full_at - now - _MINUTE_S,
            )
        self._full_at[token.name] = full_at
