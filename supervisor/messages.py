"""The requests to the supervisor. Each says where its single answer goes."""

import attrs
import outcome
import trio

from greenroom.actors.lifecycle import SessionInfo
from greenroom.actors.machine.ports import HostInfo, Owned
from greenroom.actors.session.mailbox import Caller


@attrs.frozen(kw_only=True)
class Holdings:
    """What the supervisor owns, and the part of it that belongs to no session, which should be nothing."""

    owned: Owned
    leaked: Owned


@attrs.frozen(kw_only=True)
class SessionCount:
    """How many sessions callers have asked for, and how many warm ones wait for a caller."""

    sessions: int
    warm: int


@attrs.frozen(kw_only=True)
class Overview:
    """All that there is at one moment.

    `sessions` were asked for, oldest first; `warm` were not yet. `ended` are the last that did, latest first.
    `last_event` is the number of the last event before this.
    """

    sessions: tuple[SessionInfo, ...]
    warm: tuple[SessionInfo, ...]
    ended: tuple[SessionInfo, ...]
    hosts: tuple[HostInfo, ...]
    max_sessions: int
    last_event: int


@attrs.frozen(kw_only=True)
class CreateSession:
    """Asks for a new session. The session itself answers the caller."""

    caller: Caller

    @property
    def reply_to(self) -> trio.MemorySendChannel[outcome.Maybe[SessionInfo]]:
        """The channel on which the caller waits."""
        return self.caller.reply_to


@attrs.frozen(kw_only=True)
class ListSessions:
    """Asks for the sessions that callers asked for and that have not ended, oldest first."""

    reply_to: trio.MemorySendChannel[outcome.Maybe[list[SessionInfo]]]


@attrs.frozen(kw_only=True)
class CountSessions:
    """Asks how many sessions there are."""

    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionCount]]


@attrs.frozen(kw_only=True)
class FindLeaks:
    """Asks what is owned now, and which part of it belongs to no session."""

    reply_to: trio.MemorySendChannel[outcome.Maybe[Holdings]]


@attrs.frozen(kw_only=True)
class Drain:
    """Asks to take no new session, cancel those being created, and end the live ones after `grace_s`.

    Answered when none is left.
    """

    grace_s: float
    reply_to: trio.MemorySendChannel[outcome.Maybe[None]]


Message = CreateSession | ListSessions | CountSessions | FindLeaks | Drain
