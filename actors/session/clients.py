"""The clients that are attached to a live session's browser with a Playwright of their own."""

from collections.abc import Callable
from typing import Final

import attrs
import outcome
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import TooManyClients
from greenroom.actors.events import EventKind
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.machine.ports import Browser
from greenroom.actors.relay.attachment import Attachment
from greenroom.actors.relay.shared import Shared
from greenroom.actors.session.control import Control
from greenroom.actors.session.mailbox import Attach
from greenroom.actors.session.record import SessionRecord
from greenroom.actors.session.running import reply

MAX_CLIENTS: Final = 8
# How many different refused calls of a session are logged.
_MAX_LOGGED = 20

_log = structlog.get_logger("greenroom.session")


@attrs.define(eq=False, repr=False)
class Clients:
    """Keeps a connection to the browser's driver open for each attached client. `end` ends the session."""

    _record: SessionRecord
    _browser: Browser
    _control: Control
    _end: Callable[[EndReason], None]
    _attached: set[Attach] = attrs.field(factory=set, init=False)
    _shared: Shared = attrs.field(factory=Shared, init=False)
    _logged: set[str] = attrs.field(factory=set, init=False)

    async def attach(self, request: Attach) -> None:
        """Take a client in until it leaves or the session ends. Answer once, with the error if it fails."""
        with request.reply_to:
            if len(self._attached) >= MAX_CLIENTS:
                reply(request, outcome.Error(TooManyClients(MAX_CLIENTS)))
                return
            self._attached.add(request)
            try:
                with request.scope:
                    await self._serve(request)
            except* Exception as group:
                session = self._record.id
                error = contain(group, _log, "a client could not be attached", session_id=session)
                error.session_id, error.phase = session, SessionState.LIVE.value
                reply(request, outcome.Error(error))
            finally:
                self._attached.remove(request)

    async def _serve(self, request: Attach) -> None:
        async with self._browser.connect() as driver:
            attachment = Attachment(
                driver=driver,
                shared=self._shared,
                why_held=self._control.why_held,
                wait_free=self._control.wait_free,
                note_refusal=self._note_refusal,
                end_session=lambda: self._end(EndReason.CLOSED_BY_CLIENT),
            )
            reply(request, outcome.Value(attachment))
            self._count(1)
            try:
                await trio.sleep_forever()
            finally:
                self._count(-1)

    def _count(self, change: int) -> None:
        self._record.clients += change
        self._record.publish(EventKind.ATTACHED if change > 0 else EventKind.DETACHED)

    def _note_refusal(self, type_: str, method: str) -> None:
        self._record.refused_calls += 1
        call = f"{type_}.{method}"
        if call not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(call)
            _log.info("a client's call was refused", session_id=self._record.id, call=call)

    def stop(self) -> None:
        """Part with all clients. Close their channels now: closing a connection may take a moment."""
        for request in self._attached:
            request.reply_to.close()
            request.scope.cancel(reason="the session ends")
