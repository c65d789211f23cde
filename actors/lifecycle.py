"""A session's states, the reasons for its end, and what the outside may see of it."""

import enum
from collections.abc import Mapping
from datetime import datetime

import attrs

from actors.resources import Usage
from actors.verdict import Verdict


class SessionState(enum.Enum):
    """Where a session is in its life: each state follows the one above, and any may skip to ENDING.

    QUEUED is only who has to wait until others have launched, WARM only who was launched ahead of a request.
    """

    CLONING = "cloning"
    QUEUED = "queued"
    LAUNCHING = "launching"
    WARM = "warm"
    NAVIGATING = "navigating"
    JUDGING = "judging"
    LIVE = "live"
    ENDING = "ending"
    ENDED = "ended"


class EndReason(enum.Enum):
    """Why a session ended; the first reason that comes up is the one that stays."""

    EXPIRED = "expired"
    DELETED = "deleted"
    NOT_LOGGED_IN = "not_logged_in"
    CREATION_TIMEOUT = "creation_timeout"
    CALLER_LEFT = "caller_left"
    BROWSER_LOST = "browser_lost"
    OVER_BUDGET = "over_budget"
    DISCARDED = "discarded"
    FAILED = "failed"
    SHUTDOWN = "shutdown"


@attrs.frozen(kw_only=True)
class ProcessCount:
    """How many processes ended by themselves when they were asked to, and how many were killed."""

    politely: int = 0
    by_force: int = 0


@attrs.frozen(kw_only=True)
class Receipt:
    """What the end of a session did. `bytes_freed` is the disk space of its clone.

    `left` names the kinds of what could not be cleaned up: that should be none.
    """

    reason: EndReason
    phase_ms: Mapping[str, int]
    processes: ProcessCount
    bytes_freed: int
    left: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class SessionInfo:
    """One session as it was at one moment.

    `phase_ms` holds whole milliseconds spent per state, in order; the state the session is in counts up to
    the moment of the snapshot. `expires_at` is None until the session is live, `verdict` None until it was
    judged, `reason` None until it is ending, `receipt` None until it has ended. `usage` is the last sample.
    `is_requested` is false for a session launched ahead that nobody has asked for. `profile_version` tells
    the state of the master profile that it was cloned from, None until it is.
    """

    id: str
    state: SessionState
    created_at: datetime
    expires_at: datetime | None
    verdict: Verdict | None
    phase_ms: Mapping[str, int]
    reason: EndReason | None
    usage: Usage | None = None
    receipt: Receipt | None = None
    is_requested: bool = True
    profile_version: str | None = None
