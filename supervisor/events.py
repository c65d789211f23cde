"""The stream of session events: published once, heard by every subscriber."""

import contextlib
from collections.abc import Callable, Iterator

import attrs
import structlog

from actors.events import SessionEvent

Subscriber = Callable[[SessionEvent], None]

_log = structlog.get_logger("greenroom.events")


@attrs.define(eq=False, repr=False)
class EventStream:
    """Hands each event to all subscribers, in the order of their subscription, before `publish` returns.

    Subscribers must be quick and must not block: a live view puts events into a buffer of its own. One that
    raises is logged and keeps neither the others nor the session from going on.
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
        """Tell all subscribers. Never raises."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                _log.exception("an event subscriber failed", session_id=event.session.id)
