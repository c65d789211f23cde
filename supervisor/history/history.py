"""A daemon's own way to the history: what ends goes in, and what is asked for comes out."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import attrs
import trio

from greenroom.actors.events import SessionEvent
from greenroom.supervisor.history.entry import entry_of
from greenroom.supervisor.history.filters import HistoryFilter, Position
from greenroom.supervisor.history.reader import Reader
from greenroom.supervisor.history.reading import Page, Summary
from greenroom.supervisor.history.writing import Writer

# How long the last sessions may take to get on disk, when the daemon stops.
CLOSE_S: Final = 5.0
_ALL: Final = HistoryFilter()


@attrs.frozen(eq=False, repr=False)
class History:
    """An open history. Subscribe `hear` to a supervisor's events."""

    _writer: Writer
    _reader: Reader

    @property
    def problem(self) -> str | None:
        """Why the latest sessions may be missing, fit for a client; None if they are not."""
        return self._writer.problem

    def hear(self, event: SessionEvent) -> None:
        """Have a session written that has ended. Never blocks: a thread does it, within milliseconds."""
        if (entry := entry_of(event)) is not None:
            self._writer.put(entry)

    async def read(
        self, wanted: HistoryFilter = _ALL, *, after: Position | None = None, limit: int = 50
    ) -> tuple[Page, Summary]:
        """Return up to `limit` sessions, the last to end first, and figures on all of a filter.

        With very many sessions, the figures may be some seconds old. Raises `HistoryUnavailable`.
        """
        return await self._reader.read(wanted, after, limit)


@contextlib.asynccontextmanager
async def open_history(path: Path, *, days: float) -> AsyncIterator[History]:
    """Keep the history in the file at `path` for the length of the block, each session for `days`.

    It is written by a thread, which opens and makes the file; nothing that goes wrong with it is raised.
    Leaving the block returns once all is written, or after `CLOSE_S`.
    """
    writer = Writer(path, days)
    writer.start()
    try:
        yield History(writer, Reader(path))
    finally:
        with trio.CancelScope(shield=True):  # closing has a limit of its own
            try:
                await trio.to_thread.run_sync(writer.close, CLOSE_S, limiter=trio.CapacityLimiter(1))
            except RuntimeError:  # no thread can be started
                writer.close(CLOSE_S)
