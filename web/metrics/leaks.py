"""How much is leaked, for those who ask often: found out beside them, and not each time."""

from collections.abc import Mapping
from typing import Final

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.supervisor.api import Supervisor

# A survey reads all of /proc and the sizes of all clones.
PERIOD_S: Final = 60.0

_log = structlog.get_logger("greenroom.metrics")


@attrs.define(eq=False, repr=False)
class LeakWatch:
    """Knows what was leaked lately: how many things by kind in `found`, which is empty until it knows.

    While `run` runs, it looks again when somebody wants to know, but at most once a minute.
    """

    _supervisor: Supervisor
    found: Mapping[str, int] = attrs.field(factory=dict, init=False)
    _wanted: trio.Event = attrs.field(factory=trio.Event, init=False)

    def want(self) -> Mapping[str, int]:
        """Return what was `found` last, and have it renewed for those who ask later."""
        self._wanted.set()
        return self.found

    async def run(self) -> None:
        """Look when somebody wants to know."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await self._look()
            await trio.sleep(PERIOD_S)

    async def _look(self) -> None:
        try:
            leaked = (await self._supervisor.find_leaks()).leaked
        except Exception as exc:
            contain(exc, _log, "leaks can't be looked for")
            self.found = {}
        else:
            self.found = {
                "processes": len(leaked.processes),
                "directories": len(leaked.directories),
                "entries": len(leaked.entries),
            }
