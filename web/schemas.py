"""The shapes of request and response bodies."""

from datetime import datetime
from typing import Literal

import msgspec

from actors.lifecycle import EndReason, SessionInfo, SessionState
from actors.verdict import LoginState


class CreateSessionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /tiktok/session`: an object without fields, or nothing at all."""


class Session(msgspec.Struct, kw_only=True):
    """One session. Times are UTC; `expires_at` and `login_state` are null until they are known.

    `phase_ms` maps each state that the session was in to whole milliseconds; `end_reason` is null until the
    session is ending.
    """

    id: str
    state: SessionState
    created_at: datetime
    expires_at: datetime | None
    login_state: LoginState | None
    phase_ms: dict[str, int]
    end_reason: EndReason | None

    @classmethod
    def of(cls, info: SessionInfo) -> "Session":
        """Return the shape of a session as the supervisor knows it."""
        return cls(
            id=info.id,
            state=info.state,
            created_at=info.created_at,
            expires_at=info.expires_at,
            login_state=info.verdict.state if info.verdict else None,
            phase_ms=dict(info.phase_ms),
            end_reason=info.reason,
        )


class Success(msgspec.Struct, kw_only=True):
    """A request that was carried out."""

    status: Literal["success"] = "success"
    message: str


class OneSession(Success, kw_only=True):
    """The answer to `GET /tiktok/session/{id}`."""

    session: Session


class AllSessions(Success, kw_only=True):
    """The answer to `GET /tiktok/session`: the sessions that have not ended, oldest first."""

    sessions: list[Session]


class Health(msgspec.Struct, kw_only=True):
    """The answer to `GET /health`."""

    status: Literal["ok"] = "ok"


class ErrorDetails(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a request was refused.

    `code` is for programs, `details` for people. `method`, `timeout` (seconds), `state` and `hint` come with
    NOT_LOGGED_IN; `id`, which the log has too, with INTERNAL_ERROR.
    """

    code: str
    details: str
    method: str | None = None
    timeout: float | int | None = None
    state: LoginState | None = None
    hint: str | None = None
    id: str | None = None


class Failure(msgspec.Struct, kw_only=True):
    """A request that was refused or failed."""

    status: Literal["error"] = "error"
    message: str
    error_details: ErrorDetails
