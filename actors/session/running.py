"""The commands of a live session: one runs, the others wait for their turn."""

import contextlib
from typing import Any, Final

import attrs
import outcome
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import BrowserLost, TooManyCommands
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.machine.ports import Browser
from greenroom.actors.session.mailbox import Attach, Run

# How many commands may wait for their turn.
MAX_WAITING: Final = 16

_log = structlog.get_logger("greenroom.session")


@attrs.define(eq=False, repr=False)
class RunningCommands:
    """Runs commands one at a time, in order of arrival. Each is answered once, or its channel closed."""

    session_id: str
    _running: set[Run[Any]] = attrs.field(factory=set, init=False)
    _turn: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)

    async def run(self, request: Run[Any], browser: Browser) -> BrowserLost | None:
        """Run one command when its turn comes and answer it, with its error if it fails.

        If it finds the browser lost, return that instead: the session ends, and its end is the answer.
        """
        if len(self._running) > MAX_WAITING:
            with request.reply_to:
                reply(request, outcome.Error(TooManyCommands(MAX_WAITING)))
            return None
        self._running.add(request)
        lost: BrowserLost | None = None
        try:
            with request.reply_to, request.scope:
                try:
                    async with self._turn:
                        reply(request, outcome.Value(await request.command.apply(browser)))
                except* Exception as group:
                    command = type(request.command).__name__
                    error = contain(
                        group, _log, "a command failed", session_id=self.session_id, command=command
                    )
                    error.session_id, error.phase = self.session_id, SessionState.LIVE.value
                    if isinstance(error, BrowserLost):
                        lost = error
                    else:
                        reply(request, outcome.Error(error))
        finally:
            self._running.remove(request)
        return lost

    def stop(self) -> None:
        """Cancel all commands. Close their channels now: a command may be slow to react."""
        for request in self._running:
            request.reply_to.close()
            request.scope.cancel(reason="the session ends")


def reply(request: Run[Any] | Attach, answer: outcome.Maybe[Any]) -> None:
    """Answer a request, unless the session has ended or the asker has left."""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        request.reply_to.send_nowait(answer)
