"""How often there is a look at pages, so that looking costs little."""

from typing import Final

import attrs
import trio

# Of the time, at most this much goes into looks at pages, of all sessions together.
SHARE: Final = 0.05


@attrs.define(eq=False)
class Pace:
    """Lets one session look at a time. The longer looks take, the rarer they get."""

    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _free_at: float = attrs.field(default=0.0, init=False)

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        await self._turn.acquire()
        try:
            await trio.sleep_until(self._free_at)
        except trio.Cancelled:
            self._turn.release()
            raise
        self._began = trio.current_time()

    async def __aexit__(self, *_exc: object) -> None:
        """End the turn."""
        now = trio.current_time()
        self._free_at = now + (now - self._began) * (1 / SHARE - 1)
        self._turn.release()

    _began: float = attrs.field(default=0.0, init=False)
