"""How much of the daemon one asker may have at once, so that nobody crowds out the others."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

import attrs

from greenroom.actors.errors import TooManyCommands
from greenroom.web.http.errors import TooManyStreams
from greenroom.web.http.who import Who

MAX_STREAMS: Final = 200
"""Streams of events of one token; of all, if the daemon has none."""
MAX_STREAMS_OF_READER: Final = 20
"""Of a link, or of a token that only reads."""
MAX_READS: Final = 4
"""What a reader may wait for in one session, which takes 17 commands at once."""


@attrs.define(eq=False, repr=False)
class Shares:
    """Counts what is open."""

    _open: Counter[tuple[str, str]] = attrs.field(factory=Counter, init=False)

    def check_streams(self, who: Who) -> None:
        """Raise `TooManyStreams` if they have as many as they may."""
        most = MAX_STREAMS if who.key is None else MAX_STREAMS_OF_READER
        if self._open[_streams_of(who)] >= most:
            raise TooManyStreams(most)

    def stream(self, who: Who) -> contextlib.AbstractContextManager[None]:
        """Count a stream for the length of the block."""
        return self._counting(_streams_of(who))

    @contextlib.contextmanager
    def read(self, who: Who, session_id: str) -> Iterator[None]:
        """Count a command that reads, for the length of the block. Raises `TooManyCommands` for a reader."""
        if who.key is None:
            yield
            return
        key = who.key, session_id
        if self._open[key] >= MAX_READS:
            raise TooManyCommands(MAX_READS)
        with self._counting(key):
            yield

    @contextlib.contextmanager
    def _counting(self, key: tuple[str, str]) -> Iterator[None]:
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]


def _streams_of(who: Who) -> tuple[str, str]:
    return who.key or who.name, "streams"
