"""What the history keeps of an ended session. Nothing else of it is stored."""

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from greenroom.actors.events import EventKind, SessionEvent
from greenroom.actors.lifecycle import (
    Commit,
    EndReason,
    Held,
    ProcessCount,
    ProfileMode,
    Purpose,
    SessionInfo,
)
from greenroom.actors.verdict import LoginReason, LoginState

# Ends that somebody has asked for.
_ASKED: Final = frozenset(
    {
        EndReason.CALLER_LEFT,
        EndReason.CLOSED_BY_CLIENT,
        EndReason.DELETED,
        EndReason.DISCARDED,
        EndReason.SHUTDOWN,
    }
)


class Outcome(enum.Enum):
    """What came of a session, all in all."""

    SERVED = "served"
    """It was live, and ended as it was to: on time, or because somebody asked for its end."""
    BROKEN = "broken"
    """It was live, and ended because something went wrong."""
    REFUSED = "refused"
    """It never was live: its caller got an error."""
    CANCELLED = "cancelled"
    """It never was live: its end was asked for before."""


@attrs.frozen(kw_only=True)
class EndedSession:
    """One ended session.

    `error` is the class of the error that ended it, without its text. `creation_ms` is how long its caller
    waited in its phases until it was live, in whole milliseconds: of one that `was_warm`, only those since it
    was asked for. It is None for a session that never was live. The `peak_` fields hold the highest of its
    samples, which are taken every 5 seconds: memory as PSS. `left`, `held` and `commit` are as in `Receipt`.
    """

    id: str
    created_at: datetime
    ended_at: datetime
    outcome: Outcome
    end_reason: EndReason
    error: str | None
    profile: str
    profile_mode: ProfileMode
    purpose: Purpose
    was_warm: bool
    login_state: LoginState | None
    login_reason: LoginReason | None
    creation_ms: int | None
    phase_ms: Mapping[str, int]
    peak_memory_bytes: int | None
    peak_processes: int | None
    peak_disk_bytes: int | None
    processes: ProcessCount
    bytes_freed: int
    left: tuple[str, ...]
    held: tuple[Held, ...]
    commit: Commit | None
    refused_calls: int
    has_bundle: bool


def entry_of(event: SessionEvent) -> EndedSession | None:
    """Return what to keep if a session has ended that somebody had asked for, otherwise None."""
    session = event.session
    receipt = session.receipt
    if event.kind is not EventKind.STATE or receipt is None or not session.is_requested:
        return None
    peak = session.peak
    return EndedSession(
        id=session.id,
        created_at=session.created_at,
        ended_at=datetime.now(UTC),
        outcome=_outcome_of(session, receipt.reason),
        end_reason=receipt.reason,
        error=type(event.error).__name__ if event.error is not None else None,
        profile=session.profile.name,
        profile_mode=session.profile.mode,
        purpose=session.purpose,
        was_warm=session.was_warm,
        login_state=session.verdict.state if session.verdict else None,
        login_reason=session.verdict.reason if session.verdict else None,
        creation_ms=session.creation_ms,
        phase_ms=dict(session.phase_ms),
        peak_memory_bytes=peak.memory_bytes if peak else None,
        peak_processes=peak.processes if peak else None,
        peak_disk_bytes=peak.disk_bytes if peak else None,
        processes=receipt.processes,
        bytes_freed=receipt.bytes_freed,
        left=receipt.left,
        held=receipt.held,
        commit=receipt.commit,
        refused_calls=session.refused_calls,
        has_bundle=session.has_bundle,
    )


def _outcome_of(session: SessionInfo, reason: EndReason) -> Outcome:
    if session.was_live:
        return Outcome.BROKEN if reason.is_trouble else Outcome.SERVED
    return Outcome.CANCELLED if reason in _ASKED else Outcome.REFUSED
