"""Reads the stream of events at a client's pace, and notices what the client has missed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs
import msgspec
import trio

from greenroom.actors.events import Event, SessionEvent
from greenroom.actors.lifecycle import SessionInfo, SessionState
from greenroom.supervisor.events import EventStream
from greenroom.web.http.event_messages import (
    ENDED,
    GapMessage,
    message_of,
    now_message,
    number_in,
)

# When there was nothing to send for so long, a sign of life is sent.
HEARTBEAT_S: Final = 15.0
# After something was sent, events are collected for so long: a burst costs each of many readers one turn.
_COLLECT_S: Final = 0.05

_GAP = "Events are missing: the daemon has restarted since, or too much has happened"
_DROPPED = "You read too slowly, and have missed events: connect again"


@attrs.frozen
class Item:
    """Something to send: JSON, the type for a client that dispatches by it, and an id to resume from."""

    type: str
    json: bytes
    id: str = ""


@attrs.define(eq=False, repr=False)
class EventReader:
    """Reads events from now on, or after the one with the id `last_id`; of one session, if `info` is given.

    Without `last_id`, a session's events begin with its state now. After its end there are no more. Events
    that `sees` is false for are left out.
    """

    _stream: EventStream
    _session: SessionInfo | None = None
    last_id: str | None = None
    _sees: Callable[[Event], bool] = lambda _event: True
    is_over: bool = attrs.field(default=False, init=False)
    _number: int = attrs.field(init=False)
    _greeting: list[Item] = attrs.field(factory=list, init=False)
    _has_sent: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        stream = self._stream
        self._number = stream.last
        if self.last_id is not None:
            number = number_in(stream, self.last_id)
            if number is None or not stream.first - 1 <= number <= stream.last:
                number = stream.first - 1
                self._greeting.append(_gap("gap", _GAP))
            self._number = number
        is_told = self._is_ended and bool(self._events())
        if self._session is not None and not is_told and (self.last_id is None or self._is_ended):
            message = now_message(stream, self._number, self._session, datetime.now(UTC))
            self._greeting.append(Item(message.type, msgspec.json.encode(message), message.id))

    @property
    def _is_ended(self) -> bool:
        return self._session is not None and self._session.state is SessionState.ENDED

    @property
    def has_all(self) -> bool:
        """Whether the client has the end of its session already, so there is nothing to read."""
        if self.last_id is None or not self._is_ended:
            return False
        number = number_in(self._stream, self.last_id)
        return number is not None and number >= self._stream.first - 1 and not self._events()

    def _events(self) -> list[Item]:
        """Return the events that the client does not have yet."""
        found = []
        for published in self._stream.since(self._number):
            if self._wants(published.event):
                message, json = message_of(self._stream, published)
                found.append(Item(message.type, json, message.id))
        return found

    def _wants(self, event: Event) -> bool:
        if self._session is None:
            return self._sees(event)
        return isinstance(event, SessionEvent) and event.session.id == self._session.id

    async def next(self) -> list[Item]:
        """Wait for events and return all that there are; an empty list stands for a sign of life.

        Once `is_over` is set, these were the last.
        """
        if self._greeting:
            items, self._greeting = self._greeting, []
            self.is_over = any(item.type == ENDED for item in items) and self._session is not None
            return items
        if self._has_sent:
            await trio.sleep(_COLLECT_S)
        self._has_sent = False
        with trio.move_on_after(HEARTBEAT_S):
            while True:
                await self._stream.wait(self._number)
                if items := self._take():
                    self._has_sent = True
                    return items
                if self._stream.is_over:
                    self.is_over = True
                    return []
        return []

    def _take(self) -> list[Item]:
        if self._number < self._stream.first - 1:
            self.is_over = True
            return [_gap("dropped", _DROPPED)]
        items = self._events()
        self._number = self._stream.last
        self.is_over = self._session is not None and any(item.type == ENDED for item in items)
        return items


def _gap(type_: str, details: str) -> Item:
    return Item(type_, msgspec.json.encode(GapMessage(type=type_, details=details)))
