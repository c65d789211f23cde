"""What a session is to be, who waits for it, and what its actor is told."""

from collections.abc import Callable

import attrs
import outcome
import trio

from actors.lifecycle import EndReason, SessionInfo
from actors.resources import Budget
from actors.verdict.detector import LoginDetector


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What one session is to be. Times are seconds."""

    id: str
    url: str
    headless: bool
    creation_timeout_s: float
    max_duration_s: float
    warm_max_age_s: float
    detector: LoginDetector
    budget: Budget


@attrs.frozen(kw_only=True)
class End:
    """Asks a session to end; answered, into a buffer of 1, once everything that it owned is gone.

    `CleanupIncomplete` is the answer where something of it could not be removed.
    """

    reason: EndReason
    reply_to: trio.MemorySendChannel[outcome.Maybe[None]]


@attrs.define(eq=False, kw_only=True)
class Caller:
    """Whoever waits for a session: where to answer, into a buffer of 1, and until when, on Trio's clock."""

    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]
    deadline: float
    _has_left: bool = attrs.field(default=False, init=False)
    _on_leaving: Callable[[], None] | None = attrs.field(default=None, init=False)

    @property
    def has_left(self) -> bool:
        """Whether nobody waits any more."""
        return self._has_left

    def leave(self) -> None:
        """Say that nobody waits any more, and nobody took the answer."""
        self._has_left = True
        if self._on_leaving is not None:
            self._on_leaving()

    def when_left(self, act: Callable[[], None]) -> None:
        """Have `act` called when, or if already, nobody waits any more. It replaces an earlier one."""
        self._on_leaving = act
        if self._has_left:
            act()


@attrs.frozen(kw_only=True)
class Claim:
    """Gives a warm session to a caller; answered, into a buffer of 1, once it has shown that it is fit.

    If it has not, the channel is closed unanswered, and the caller is still to be served by another. So it is
    if the caller has left by then: the session stays warm.
    """

    caller: Caller
    reply_to: trio.MemorySendChannel[bool]
