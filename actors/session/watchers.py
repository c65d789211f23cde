"""Those who watch a live session."""

from datetime import UTC, datetime
from typing import Final

import attrs
import outcome
import trio

from greenroom.actors.errors import TooManyWatchers
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import Watcher
from greenroom.actors.session.mailbox import Watch
from greenroom.actors.session.record import SessionRecord
from greenroom.actors.session.running import reply
from greenroom.actors.session.view import Watching

MAX_WATCHERS: Final = 50
# Of those who come by one link.
MAX_BY_ONE_WAY: Final = 5
# How many of those who have left a session remembers.
_MAX_LEFT = 50


@attrs.define(eq=False, repr=False)
class Watchers:
    """Takes in those who watch a session until they leave."""

    _record: SessionRecord
    _attached: dict[Watch, Watcher] = attrs.field(factory=dict, init=False)

    async def watch(self, request: Watch, watching: Watching) -> None:
        """Take one in until they leave or the session ends. Answer once, with the error if it fails."""
        with request.reply_to:
            same = sum(other.by == request.by for other in self._attached) if request.by is not None else 0
            if len(self._attached) >= MAX_WATCHERS or same >= MAX_BY_ONE_WAY:
                error = self._record.add_to(TooManyWatchers(len(self._attached)))
                reply(request, outcome.Error(error))
                return
            self._attached[request] = Watcher(
                name=request.name, mode=request.mode, since=datetime.now(UTC), until=None
            )
            self._note(request, EventKind.WATCHER_JOINED)
            try:
                reply(request, outcome.Value(watching))
                with request.scope:
                    await trio.sleep_forever()
            finally:
                left = attrs.evolve(self._attached.pop(request), until=datetime.now(UTC))
                if request.is_noted:
                    self._record.watched = (*self._record.watched, left)[-_MAX_LEFT:]
                self._note(request, EventKind.WATCHER_LEFT)

    def _note(self, request: Watch, kind: EventKind) -> None:
        if request.is_noted:
            self._record.watchers = tuple(one for by, one in self._attached.items() if by.is_noted)
            self._record.publish(kind)

    def stop(self) -> None:
        """Part with all of them."""
        for request in self._attached:
            request.reply_to.close()
            request.scope.cancel(reason="the session ends")
