"""Reads the history for all who ask: in one thread, which keeps figures that took long for a while."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from greenroom.supervisor.history.filters import HistoryFilter, Position
from greenroom.supervisor.history.reading import Page, Summary, read_history, read_page

# Figures are kept for ten times the CPU time that they took: however many ask, it is a tenth of a core.
# Those of a few thousand sessions take so little that they are always made anew.
_KEPT_TIMES: Final = 10
_CHEAP_S: Final = 0.05
_MAX_KEPT: Final = 64


@attrs.define(eq=False, repr=False)
class Reader:
    """Reads the history at `path`."""

    _path: Path
    _cpu_s: Callable[[], float] = time.thread_time
    _one: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)
    _kept: dict[HistoryFilter, tuple[float, Summary]] = attrs.field(factory=dict, init=False)

    async def read(self, wanted: HistoryFilter, after: Position | None, limit: int) -> tuple[Page, Summary]:
        """Return what `read_history` does, the figures perhaps as they were some seconds before.

        With 100,000 sessions, that may be 10 seconds. Raises as `read_history` does. Cancellation abandons
        the thread, which goes on alone: the next one waits for it.
        """
        return await trio.to_thread.run_sync(
            self._read, wanted, after, limit, limiter=self._one, abandon_on_cancel=True
        )

    def _read(self, wanted: HistoryFilter, after: Position | None, limit: int) -> tuple[Page, Summary]:
        until, summary = self._kept.pop(wanted, (0.0, None))
        if summary is not None and time.monotonic() < until:
            self._kept[wanted] = until, summary  # as the last that was asked for
            return read_page(self._path, wanted, after, limit), summary
        begun = self._cpu_s()
        page, summary = read_history(self._path, wanted, after, limit)
        if (took := self._cpu_s() - begun) >= _CHEAP_S:
            self._kept[wanted] = time.monotonic() + _KEPT_TIMES * took, summary
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return page, summary
