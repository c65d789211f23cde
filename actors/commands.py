"""What a session should be, who waits for it, and the commands to its actor."""

from collections.abc import Callable

import attrs
import outcome
import trio

from actors.lifecycle import EndReason, SessionInfo
from actors.resources import Budget
from actors.verdict.detector import LoginDetector


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What one session should be. Times are in seconds."""

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
    """Asks a session to end. The answer, into a buffer of 1, comes once everything that it owned is gone.

    If something could not be removed, the answer is `CleanupIncomplete`.
    """

    reason: EndReason
    reply_to: trio.MemorySendChannel[outcome.Maybe[None]]


@attrs.define(eq=False, kw_only=True)
class Caller:
    """A caller waiting for a session: the channel to answer on, with a buffer of 1, and the deadline.

    The deadline is on Trio's clock.
    """

    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]
    deadline: float
    _has_left: bool = attrs.field(default=False, init=False)
    _on_leaving: Callable[[], None] | None = attrs.field(default=None, init=False)

    @property
    def has_left(self) -> bool:
        """Whether the caller has stopped waiting."""
        return self._has_left

    def leave(self) -> None:
        """Note that the caller has stopped waiting, without having taken the answer."""
        self._has_left = True
        if self._on_leaving is not None:
            self._on_leaving()

    def when_left(self, act: Callable[[], None]) -> None:
        """Call `act` once the caller leaves, or at once if it has left. It replaces an earlier `act`."""
        self._on_leaving = act
        if self._has_left:
            act()


@attrs.frozen(kw_only=True)
class Claim:
    """Gives a warm session to a caller. Answered, into a buffer of 1, once its browser has proved healthy.

    If it does not, the channel is closed without an answer, and another session must serve the caller. The
    channel is also closed if the caller has left by then; the session then stays warm.
    """

    caller: Caller
    reply_to: trio.MemorySendChannel[bool]
