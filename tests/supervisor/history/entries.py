"""Ended sessions, made up."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from greenroom.actors.lifecycle import Commit, EndReason, Held, ProcessCount, ProfileMode, Purpose
from greenroom.actors.verdict import LoginReason, LoginState
from greenroom.supervisor.history import (
    EndedSession,
    HistoryFilter,
    Outcome,
    Page,
    Position,
    Summary,
    read_history,
)

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)

_numbers = itertools.count()

FULL = EndedSession(
    id="full",
    created_at=NOON,
    ended_at=NOON + timedelta(minutes=5, microseconds=1),
    outcome=Outcome.BROKEN,
    end_reason=EndReason.BROWSER_LOST,
    error="BrowserLost",
    profile="work",
    profile_mode=ProfileMode.WRITE,
    purpose=Purpose.LOGIN,
    was_warm=True,
    login_state=LoginState.LOGGED_IN,
    login_reason=LoginReason.VIEWER_OBJECT,
    creation_ms=205,
    phase_ms={"cloning": 54, "launching": 1689, "warm": 3093, "navigating": 118, "judging": 87, "live": 9152},
    peak_memory_bytes=373_856_256,
    peak_processes=11,
    peak_disk_bytes=45_993_984,
    processes=ProcessCount(politely=2, by_force=1),
    bytes_freed=45_993_984,
    left=("clone",),
    held=(Held(by="operator", since=NOON, until=NOON + timedelta(seconds=3)),),
    commit=Commit(problem="The browser was lost"),
    refused_calls=3,
    has_bundle=True,
)
"""A session with a value in each field."""


def ended(**fields: Any) -> EndedSession:
    """Return a session that was served, with an id of its own."""
    plain = attrs.evolve(
        FULL,
        id=f"session-{next(_numbers)}",
        ended_at=NOON,
        outcome=Outcome.SERVED,
        end_reason=EndReason.EXPIRED,
        error=None,
        left=(),
        held=(),
        commit=None,
        has_bundle=False,
    )
    return attrs.evolve(plain, **fields)


def read_page(path: Path, wanted: HistoryFilter, after: Position | None, limit: int) -> Page:
    """Return a page of the history in a file."""
    return read_history(path, wanted, after, limit)[0]


def read_summary(path: Path, wanted: HistoryFilter) -> Summary:
    """Return the figures on the history in a file."""
    return read_history(path, wanted, None, 1)[1]
