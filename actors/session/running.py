"""The commands of a live session: one runs, the others wait for their turn."""

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Self

import attrs
import outcome
import structlog
import trio

from greenroom.actors.actions.actions import Operation
from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import BrowserLost, ControlHeld, TooManyCommands
from greenroom.actors.events import ActionNote
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.machine.ports import Browser
from greenroom.actors.session.acting import acting_browser
from greenroom.actors.session.control import Control
from greenroom.actors.session.mailbox import Attach, Run, Watch

# How many commands may wait for their turn.
MAX_WAITING: Final = 16

_log = structlog.get_logger("greenroom.session")


@attrs.define(eq=False)
class _Turn:
    """A command's turn. It may step aside for others."""

    _lock: trio.StrictFIFOLock
    _has_it: bool = attrs.field(default=False, init=False)

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        self._has_it = True
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._has_it:
            self._lock.release()

    @contextlib.asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        self._lock.release()
        self._has_it = False
        yield
        await self._lock.acquire()
        self._has_it = True


@attrs.define(eq=False, repr=False)
class RunningCommands:
    """Runs commands one at a time, in order of arrival. Each is answered once, or its channel closed.

    What a command does in a page needs `control`; `note_typed` hears of it before, and `tell` after.
    """

    session_id: str
    _control: Control
    _note_typed: Callable[[Operation], None]
    _tell: Callable[[ActionNote], None]
    _running: set[Run[Any]] = attrs.field(factory=set, init=False)
    _aside: int = attrs.field(default=0, init=False)
    _turn: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)

    async def run(self, request: Run[Any], browser: Browser) -> BrowserLost | None:
        """Run one command when its turn comes and answer it, with its error if it fails.

        If it finds the browser lost, return that instead: the session ends, and its end is the answer.
        """
        if len(self._running) - self._aside > MAX_WAITING:
            with request.reply_to:
                reply(request, outcome.Error(TooManyCommands(MAX_WAITING)))
            return None
        self._running.add(request)
        lost: BrowserLost | None = None
        try:
            with request.reply_to, request.scope:
                try:
                    async with _Turn(self._turn) as turn:
                        allow = functools.partial(self._allow, request, turn)
                        acting = acting_browser(browser, allow=allow, tell=self._tell)
                        reply(request, outcome.Value(await request.command.apply(acting)))
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

    async def _allow(self, request: Run[Any], turn: _Turn, operation: Operation) -> None:
        """Return once the command may act. Raises `ControlHeld`, unless it is to wait; others go on then."""
        self._note_typed(operation)
        while True:
            try:
                self._control.check(request.lease)
            except ControlHeld:
                if not request.waits_for_control or self._aside >= MAX_WAITING:
                    raise
                self._aside += 1
                try:
                    async with turn.aside():
                        await self._control.wait_free()
                finally:
                    self._aside -= 1
            else:
                return

    def stop(self) -> None:
        """Cancel all commands. Close their channels now: a command may be slow to react."""
        for request in self._running:
            request.reply_to.close()
            request.scope.cancel(reason="the session ends")


def reply(request: Run[Any] | Attach | Watch, answer: outcome.Maybe[Any]) -> None:
    """Answer a request, unless the session has ended or the asker has left."""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        request.reply_to.send_nowait(answer)
