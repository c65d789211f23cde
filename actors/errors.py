"""Everything that can go wrong with a session, one class per condition.

The text of each error is safe to show to a client: no path, no secret, no page content. What only the
operator may see is in `detail`, which goes to the log.
"""

import uuid
from typing import ClassVar

from actors.lifecycle import EndReason
from actors.verdict import Verdict


class GreenroomError(Exception):
    """Root of every error that Greenroom raises on purpose.

    `id` names this one occurrence, in the log and in answers that must not say more. `session_id`, and
    `phase`, the state it was in, are set where there was a session.
    """

    reason: ClassVar[EndReason] = EndReason.FAILED

    def __init__(self, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.id = uuid.uuid4().hex[:12]
        self.session_id: str | None = None
        self.phase: str | None = None


class NotLoggedIn(GreenroomError):
    """The page, or the state of the master profile, does not show that somebody is logged in.

    `hint` is what to do about it, as a sentence.
    """

    reason = EndReason.NOT_LOGGED_IN

    def __init__(self, verdict: Verdict, *, hint: str | None = None) -> None:
        super().__init__("User is not logged in to TikTok")
        self.verdict = verdict
        self.hint = hint or verdict.next_step


class ProfileLocked(GreenroomError):
    """Another process has the master profile open, or changes it."""

    def __init__(self, message: str = "User data directory is locked by another process") -> None:
        super().__init__(message)


class ProfileUnusable(GreenroomError):
    """The master profile can't be cloned: not a directory, unreadable, a symlink loop, a device in it."""


class NotAProfile(ProfileUnusable):
    """The master profile is something else than a Firefox profile; the text says what."""


class CloneFailed(GreenroomError):
    """The clone could not be made or removed: no space, no permission, an I/O error."""


class CreationTimedOut(GreenroomError):
    """Creating the session took longer than it may."""

    reason = EndReason.CREATION_TIMEOUT

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"Session creation timed out after {timeout_s:g} seconds")
        self.timeout_s = timeout_s


class UpstreamUnreachable(GreenroomError):
    """The page could not be loaded: name resolution, refused, reset, an HTTP 5xx answer, or it is no page."""


class PageGone(UpstreamUnreachable):
    """The page went away while it was looked at: it closed itself, or went on to what is no page."""


class ResourcesExhausted(GreenroomError):
    """The machine has too little of something for one more session; the text names it."""


class OverBudget(GreenroomError):
    """The session used more memory, processes or disk space than it may; the text says how much."""

    reason = EndReason.OVER_BUDGET


class EngineUnavailable(GreenroomError):
    """No browser engine of the wanted kind is installed, or it does not start."""


class SandboxUnavailable(GreenroomError):
    """The sandbox that the settings demand does not run on this machine."""


class BrowserLost(GreenroomError):
    """The browser or its host died, stalled, or spoke garbage."""

    reason = EndReason.BROWSER_LOST


class ActionFailed(GreenroomError):
    """The browser is well, but could not do with its page what was asked for."""


class ActionTimedOut(ActionFailed):
    """The page took too long to do what was asked for, as one does that never stops computing."""


class PageTooLarge(ActionFailed):
    """The page, or a picture of it, has more bytes than may be sent."""


class CleanupIncomplete(GreenroomError):
    """A session has ended, but something that it owned is still there; `left` names its kinds, not places."""

    def __init__(self, left: tuple[str, ...]) -> None:
        super().__init__(f"The session has ended, but could not be cleaned up; left: {', '.join(left)}")
        self.left = left


class InternalFailure(GreenroomError):
    """Something went wrong that nobody foresaw; the cause, with its traceback, is for the log alone."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("An internal error occurred", detail=repr(cause))
        self.__cause__ = cause


class SessionDeleted(GreenroomError):
    """The session was deleted while it was being created."""

    reason = EndReason.DELETED


class SupervisorStopped(GreenroomError):
    """The supervisor is shutting down, or has, and takes no more work."""

    reason = EndReason.SHUTDOWN

    def __init__(self) -> None:
        super().__init__("Greenroom is shutting down")


class CapacityExhausted(GreenroomError):
    """As many sessions as may exist do; `retry_after_s` counts to the earliest known end of one."""

    def __init__(self, max_sessions: int, *, retry_after_s: float) -> None:
        super().__init__(f"The limit of sessions ({max_sessions}) is reached")
        self.max_sessions = max_sessions
        self.retry_after_s = retry_after_s


class Overloaded(GreenroomError):
    """So many sessions wait to be launched that one more would not be in time.

    `retry_after_s` counts to when the first of them must have launched or given up.
    """

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__("Too many sessions wait to be launched for one more to be in time")
        self.retry_after_s = retry_after_s


class SessionNotFound(GreenroomError):
    """No session has, or recently had, this id."""

    def __init__(self, session_id: str) -> None:
        super().__init__("No such session")
        self.session_id = session_id
