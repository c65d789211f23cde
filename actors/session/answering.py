"""The answer to a session's caller: exactly one, in time, whatever becomes of the session."""

from collections.abc import Callable
from typing import Final

import attrs
import outcome
import trio

from greenroom.actors.errors import CreationTimedOut, GreenroomError, SessionDeleted, SupervisorStopped
from greenroom.actors.lifecycle import EndReason, SessionInfo, SessionState
from greenroom.actors.session.mailbox import Caller
from greenroom.actors.session.record import SessionRecord

# A creation answers at most this long after its deadline, cleaned up or not.
ANSWER_GRACE_S: Final = 0.9


@attrs.define(eq=False, repr=False)
class Answer:
    """Answers the caller once: with the session when it is live, else with why there is none.

    `end` ends the session for a reason: a caller who has left by the time of a good answer ends it.
    """

    _record: SessionRecord
    _creation_timeout_s: float
    caller: Caller | None
    _end: Callable[[EndReason], None]
    _settled: trio.Event = attrs.field(factory=trio.Event, init=False)
    _is_given: bool = attrs.field(default=False, init=False)

    def owe(self, caller: Caller) -> None:
        """Take `caller` as the one who waits for this session from now on."""
        self.caller, self._record.is_requested = caller, True
        caller.when_left(lambda: self._end(EndReason.CALLER_LEFT))

    async def give_in_time(self, caller: Caller) -> None:
        """Tell the caller that there is no session even if cleaning up drags on."""
        try:
            with trio.move_on_at(caller.deadline + ANSWER_GRACE_S):
                await self._settled.wait()
                return
        except trio.Cancelled:  # from outside, if it has not ended: it may take long to do so
            if self._record.state is not SessionState.ENDED:
                caller.reply_to.close()
            raise
        self.refuse()

    def give(self) -> None:
        """Answer that the session is live."""
        self._settled.set()
        if self._is_owed and not self._send(outcome.Value(self._record.info())):
            self._end(EndReason.CALLER_LEFT)

    def refuse(self) -> None:
        """Answer why there is no session, unless the caller has an answer already."""
        if self._is_owed:
            self._send(outcome.Error(self._refusal()))

    def close(self) -> None:
        """Tell a caller who still waits that there is nothing to wait for."""
        if self.caller is not None:
            self.caller.reply_to.close()

    @property
    def _is_owed(self) -> bool:
        return self.caller is not None and not self._is_given

    def _send(self, answer: outcome.Maybe[SessionInfo]) -> bool:
        """Answer; return whether the answer has reached the caller."""
        if self.caller is None:
            raise RuntimeError("there is nobody to answer")
        self._is_given = True
        try:
            self.caller.reply_to.send_nowait(answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    def _refusal(self) -> GreenroomError:
        if self._record.error is not None:
            return self._record.error
        match self._record.reason:
            case EndReason.DELETED:
                error: GreenroomError = SessionDeleted("The session was deleted while it was being created")
            case EndReason.SHUTDOWN:
                error = SupervisorStopped()
            case _:
                error = CreationTimedOut(self._creation_timeout_s)
        return self._record.add_to(error)
