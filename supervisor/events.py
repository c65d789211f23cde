"""The stream of session events: published once, heard by every subscriber."""

import contextlib
from collections.abc import Callable, Iterator

import attrs
import structlog

from greenroom.actors.bulkhead import report
from greenroom.actors.events import SessionEvent

Subscriber = Callable[[SessionEvent], None]

_log = structlog.get_logger("greenroom.events")


@attrs.define(eq=False, repr=False)
class EventStream:
    """Hands each event to all subscribers, in the order of their subscription, before `publish` returns.

    Subscribers must be quick and must not block, or everything waits for them: a live view puts events into a
    buffer of its own. One that raises is logged and keeps neither the others nor the session from going on,
    unless it demands the end of the program.
    """

    _subscribers: list[Subscriber] = attrs.field(factory=list, init=False)

    @contextlib.contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """Let `subscriber` hear every event published during the block."""
        self._subscribers.append(subscriber)
        try:
            yield
        finally:
            self._subscribers.remove(subscriber)

    def publish(self, event: SessionEvent) -> None:
        """Call all subscribers. Raises nothing but `KeyboardInterrupt` and `SystemExit`."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # such as another framework's cancellation, which is not ours
                report(_log.exception, "an event subscriber failed", session_id=event.session.id)
