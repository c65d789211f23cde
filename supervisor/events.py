"""The stream of events: published once, heard by every subscriber, and remembered for a while."""

import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import report
from greenroom.actors.events import Event, SessionEvent

Subscriber = Callable[[SessionEvent], None]

# How many events are remembered: about as many megabytes, once each is encoded for readers.
REMEMBERED: Final = 4096

_log = structlog.get_logger("greenroom.events")


@attrs.define(eq=False, repr=False)
class Published:
    """An event, its number in the stream, from 1, and when it was published.

    `encoded` is for whoever makes a form of it that many readers share.
    """

    number: int
    at: datetime
    event: Event
    encoded: Any = attrs.field(default=None, init=False)


@attrs.define(eq=False, repr=False)
class EventStream:
    """Hands each event of a session to all subscribers, in the order of their subscription, before `publish`
    returns.

    Subscribers must be quick and must not block, or everything waits for them. One that raises is logged and
    keeps neither the others nor the session from going on, unless it demands the end of the program.

    The last events are remembered, so those who can't be quick read them at their own pace: with `since` and
    `wait`. Nobody waits for such a reader; one who is too slow misses events, and can tell by their numbers.
    What happens to browser hosts is only remembered. `name` tells this stream from that of another run.
    """  # noqa: D205  # one sentence each would say less

    name: str = attrs.field(factory=lambda: secrets.token_hex(4), init=False)
    is_over: bool = attrs.field(default=False, init=False)
    _subscribers: list[Subscriber] = attrs.field(factory=list, init=False)
    _remembered: deque[Published] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED), init=False)
    _count: int = attrs.field(default=0, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    @contextlib.contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """Let `subscriber` hear every event of a session published during the block."""
        self._subscribers.append(subscriber)
        try:
            yield
        finally:
            self._subscribers.remove(subscriber)

    def publish(self, event: Event) -> None:
        """Remember an event and call all subscribers. Raises only `KeyboardInterrupt` and `SystemExit`."""
        self._count += 1
        self._remembered.append(Published(self._count, datetime.now(UTC), event))
        self._wake()
        if isinstance(event, SessionEvent):
            self._tell(event)

    def _tell(self, event: SessionEvent) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # such as another framework's cancellation, which is not ours
                report(_log.exception, "an event subscriber failed", session_id=event.session.id)

    @property
    def last(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._count

    @property
    def first(self) -> int:
        """The number of the oldest event that is remembered; of the next one, if none is."""
        return self._count - len(self._remembered) + 1

    def since(self, number: int) -> list[Published]:
        """Return the remembered events after that number, oldest first."""
        found: list[Published] = []
        for published in reversed(self._remembered):
            if published.number <= number:
                break
            found.append(published)
        found.reverse()
        return found

    async def wait(self, number: int) -> None:
        """Return once there is an event after that number, or the stream is over."""
        while self._count <= number and not self.is_over:
            await self._news.wait()

    def close(self) -> None:
        """End the stream: there will be no more events, and nobody waits for one any longer."""
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()
