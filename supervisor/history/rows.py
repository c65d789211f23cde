"""How an ended session becomes a row of the history's table, and a row one."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from greenroom.actors.lifecycle import Commit, EndReason, Held, ProcessCount, ProfileMode, Purpose
from greenroom.actors.verdict import LoginReason, LoginState
from greenroom.supervisor.history.entry import EndedSession, Outcome
from greenroom.supervisor.history.filters import to_us
from greenroom.supervisor.history.schema import PHASES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_left = msgspec.json.Decoder(tuple[str, ...])
_held = msgspec.json.Decoder(tuple[Held, ...])
_commit = msgspec.json.Decoder(Commit)

Row = dict[str, str | int | None]


def row_of(entry: EndedSession) -> Row:
    """Return the columns of a session, by name."""
    return {
        "id": entry.id,
        "created_us": to_us(entry.created_at),
        "ended_us": to_us(entry.ended_at),
        "outcome": entry.outcome.value,
        "end_reason": entry.end_reason.value,
        "error": entry.error,
        "profile": entry.profile,
        "profile_mode": entry.profile_mode.value,
        "purpose": entry.purpose.value,
        "was_warm": int(entry.was_warm),
        "login_state": entry.login_state.value if entry.login_state else None,
        "login_reason": entry.login_reason.value if entry.login_reason else None,
        "creation_ms": entry.creation_ms,
        **{f"{phase}_ms": entry.phase_ms.get(phase) for phase in PHASES},
        "peak_memory_bytes": entry.peak_memory_bytes,
        "peak_processes": entry.peak_processes,
        "peak_disk_bytes": entry.peak_disk_bytes,
        "politely": entry.processes.politely,
        "by_force": entry.processes.by_force,
        "bytes_freed": entry.bytes_freed,
        "left": _json(entry.left),
        "held": _json(entry.held),
        "commit": _json(entry.commit) if entry.commit else None,
        "refused_calls": entry.refused_calls,
        "has_bundle": int(entry.has_bundle),
    }


def entry_in(row: Any) -> EndedSession:
    """Return the session in a row, whose columns are found by name.

    Raises `ValueError` where a column has what no version writes.
    """
    return EndedSession(
        id=row["id"],
        created_at=_time(row["created_us"]),
        ended_at=_time(row["ended_us"]),
        outcome=Outcome(row["outcome"]),
        end_reason=EndReason(row["end_reason"]),
        error=row["error"],
        profile=row["profile"],
        profile_mode=ProfileMode(row["profile_mode"]),
        purpose=Purpose(row["purpose"]),
        was_warm=bool(row["was_warm"]),
        login_state=LoginState(row["login_state"]) if row["login_state"] else None,
        login_reason=LoginReason(row["login_reason"]) if row["login_reason"] else None,
        creation_ms=row["creation_ms"],
        phase_ms={phase: ms for phase in PHASES if (ms := row[f"{phase}_ms"]) is not None},
        peak_memory_bytes=row["peak_memory_bytes"],
        peak_processes=row["peak_processes"],
        peak_disk_bytes=row["peak_disk_bytes"],
        processes=ProcessCount(politely=row["politely"], by_force=row["by_force"]),
        bytes_freed=row["bytes_freed"],
        left=_left.decode(row["left"]),
        held=_held.decode(row["held"]),
        commit=_commit.decode(row["commit"]) if row["commit"] else None,
        refused_calls=row["refused_calls"],
        has_bundle=bool(row["has_bundle"]),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _time(us: object) -> datetime:
    if isinstance(us, int):
        with contextlib.suppress(OverflowError):
            return _EPOCH + timedelta(microseconds=us)
    raise ValueError("a time that no session has")
