"""Every way a session can fail, one class per condition.

The text of each error is safe to show to a client: no path, no secret, no page content. `detail` is only for
the operator, and goes to the log.
"""

import uuid
from typing import ClassVar

from greenroom.actors.actions.results import ActionResult
from greenroom.actors.lifecycle import EndReason, Held, ProfileHolder, SessionInfo
from greenroom.actors.verdict import Verdict


class GreenroomError(Exception):
    """The base class of every error that Greenroom raises on purpose.

    `id` identifies this one occurrence, in the log and in answers that must not say more. If there was a
    session, `session_id` and `phase`, the state it was in, are set; `has_bundle` says whether more is kept of
    it.
    """

    reason: ClassVar[EndReason] = EndReason.FAILED
    quotes_client: ClassVar[bool] = False
    """Whether the text may have in it what a client has sent, so it must not be logged."""

    def __init__(self, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.id = uuid.uuid4().hex[:12]
        self.session_id: str | None = None
        self.phase: str | None = None
        self.has_bundle = False


class NotLoggedIn(GreenroomError):
    """Neither the page nor the master profile shows a login.

    `hint` says what to do about it, as a sentence.
    """

    reason = EndReason.NOT_LOGGED_IN

    def __init__(self, verdict: Verdict, *, hint: str | None = None) -> None:
        super().__init__("User is not logged in to TikTok")
        self.verdict = verdict
        self.hint = hint or verdict.next_step


class ProfileLocked(GreenroomError):
    """Another process has the master profile open, or changes it: `holder`, if that is known."""

    def __init__(
        self,
        message: str = "User data directory is locked by another process",
        *,
        holder: ProfileHolder | None = None,
    ) -> None:
        super().__init__(message)
        self.holder = holder


class ProfileUnusable(GreenroomError):
    """The master profile can't be cloned: unreadable, not a directory, a symlink loop, a device in it."""


class ProfileNotReplaced(GreenroomError):
    """A new generation of a profile can't become the current one, which is as it was; the text says why."""


class ProfileNotFound(GreenroomError):
    """There is no profile of this name."""

    def __init__(self, name: str, *, told: str | None = None) -> None:
        told = told or f"`greenroom login {name}` makes one"
        super().__init__(f"There is no profile {name!r}: {told}")


class ProfileExists(GreenroomError):
    """There is a profile of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a profile {name!r} already")


class LoginFileInvalid(GreenroomError):
    """What was exported from another browser can't be read, or has no login; the text says where and why."""

    quotes_client = True


class NotAProfile(ProfileUnusable):
    """The master profile is not a Firefox profile; the text says what it is."""


class CloneFailed(GreenroomError):
    """The clone could not be made or removed: no space, no permission, an I/O error."""


class CreationTimedOut(GreenroomError):
    """Creating the session took longer than the creation timeout."""

    reason = EndReason.CREATION_TIMEOUT

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"Session creation timed out after {timeout_s:g} seconds")
        self.timeout_s = timeout_s


class UpstreamUnreachable(GreenroomError):
    """The page could not be loaded: name resolution, refused, reset, HTTP 5xx, or not a page at all."""


class PageGone(UpstreamUnreachable):
    """The page went away during the inspection: it closed itself, or led to something that is not a page."""


class ResourcesExhausted(GreenroomError):
    """The machine has too little of something for one more session; the text names it."""


class OverBudget(GreenroomError):
    """The session used more memory, processes or disk space than its budget; the text says how much."""

    reason = EndReason.OVER_BUDGET


class EngineUnavailable(GreenroomError):
    """The wanted browser engine is not installed, or does not start."""


class SandboxUnavailable(GreenroomError):
    """The sandbox that the settings require does not work on this machine."""


class BrowserLost(GreenroomError):
    """The browser or its host died, stalled, or sent garbage."""

    reason = EndReason.BROWSER_LOST


class ActionFailed(GreenroomError):
    """The browser is well, but could not do with its page what was asked for.

    `told` says why, for whoever asked and for nobody else: it may quote the page, and so goes to no log. Of
    several actions, `index` is the number of the one that failed, from 0, and `done` is what those before it
    came to; `kind` is what was asked for.
    """

    quotes_client = True

    def __init__(self, message: str, *, detail: str | None = None, told: str = "") -> None:
        super().__init__(message, detail=detail)
        self.told = told
        self.kind: str | None = None
        self.index: int | None = None
        self.done: tuple[ActionResult, ...] = ()


class ActionTimedOut(ActionFailed):
    """The operation took longer than it may; `told` says what it waited for."""


class StaleRef(ActionFailed):
    """The page has no element with this ref any more; `snapshot` is a fresh one, if there could be one."""

    snapshot: str | None = None


class AmbiguousTarget(ActionFailed):
    """The target matches several elements: `matches` of them."""

    matches: int | None = None


class NavigationFailed(ActionFailed):
    """The URL could not be loaded: name resolution, refused, reset."""


class PageCrashed(ActionFailed):
    """The page's process has crashed. Loading it again, or another page, may help."""


class DialogOpen(ActionFailed):
    """The page shows a dialog, and does nothing until that is answered."""


class NoSuchPage(ActionFailed):
    """The session has no page of this name, or not any more."""


class NoSuchFile(ActionFailed):
    """The session has no file, or no download, of this name."""


class PageTooLarge(ActionFailed):
    """What was asked for has more bytes than may be sent."""


class StorageFailed(ActionFailed):
    """A file or a large result of the session can't be written: no space, an I/O error."""


class InvalidAction(ActionFailed):
    """What was asked for is not possible at all; the text names the field."""


class ControlHeld(ActionFailed):
    """Somebody else has control of the session: a person, whose hold is `held`, or programs if it is None.

    What only reads goes on.
    """

    def __init__(self, message: str, *, held: Held | None = None) -> None:
        super().__init__(message)
        self.held = held


class TooManyCommands(GreenroomError):
    """So many commands wait for their turn in the session that it takes no more."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} commands wait for their turn in this session")
        self.retry_after_s = 1.0


class TooManyClients(GreenroomError):
    """So many clients are attached to the session that it takes no more."""

    def __init__(self, clients: int) -> None:
        super().__init__(f"{clients} clients are attached to this session")
        self.retry_after_s = 1.0


class TooManyWatchers(GreenroomError):
    """So many watch the session that it takes no more."""

    def __init__(self, watchers: int) -> None:
        super().__init__(f"{watchers} watch this session")
        self.retry_after_s = 1.0


class CleanupIncomplete(GreenroomError):
    """A session has ended, but something that it owned is still there; `left` names kinds, not paths."""

    def __init__(self, left: tuple[str, ...]) -> None:
        super().__init__(f"The session has ended, but cleanup left: {', '.join(left)}")
        self.left = left


class InternalFailure(GreenroomError):
    """An unexpected failure. The cause, with its traceback, is only for the log."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("An internal error occurred", detail=repr(cause))
        self.__cause__ = cause


class SessionDeleted(GreenroomError):
    """The session was deleted while it was being created."""

    reason = EndReason.DELETED


class SessionNotLive(GreenroomError):
    """The session takes no commands yet: it is still being created, or nobody has asked for it."""

    def __init__(self, session: SessionInfo) -> None:
        super().__init__(f"The session is not live yet: it is {session.state.value}")
        self.session_id, self.phase = session.id, session.state.value


class SessionEnded(GreenroomError):
    """The session is ending or has ended; `end_reason` tells why, and `receipt` what its end has done.

    A command that it was asked for has failed with it, but may have been carried out in part.
    """

    def __init__(self, session: SessionInfo) -> None:
        self.end_reason = session.reason or EndReason.FAILED
        self.receipt = session.receipt
        super().__init__(f"The session has ended: {self.end_reason.value}")
        self.session_id, self.phase = session.id, session.state.value


class SupervisorStopped(GreenroomError):
    """The supervisor is shutting down or has shut down, and takes no more work."""

    reason = EndReason.SHUTDOWN

    def __init__(self) -> None:
        super().__init__("Greenroom is shutting down")


class CapacityExhausted(GreenroomError):
    """All sessions are in use; `retry_after_s` is the time until the earliest known end of one."""

    def __init__(self, max_sessions: int, *, retry_after_s: float) -> None:
        super().__init__(f"The session limit ({max_sessions}) is reached")
        self.max_sessions = max_sessions
        self.retry_after_s = retry_after_s


class TooManySessions(GreenroomError):
    """Whoever asks has as many sessions as they may; `retry_after_s` is when the first of them must end."""

    def __init__(self, maker: str, max_sessions: int, *, retry_after_s: float) -> None:
        super().__init__(f"{maker} may have {max_sessions} sessions at once")
        self.max_sessions = max_sessions
        self.retry_after_s = retry_after_s


class Overloaded(GreenroomError):
    """Too many sessions are queued for one more to launch in time.

    `retry_after_s` is the time until the first of them must have launched or given up.
    """

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__("Too many sessions are queued to launch another in time")
        self.retry_after_s = retry_after_s


class NotReady(GreenroomError):
    """A session that was asked for now could not be created; the text says why. Nothing was asked for."""


class SessionNotFound(GreenroomError):
    """No session has this id, or had it recently."""

    def __init__(self, session_id: str) -> None:
        super().__init__("No such session")
        self.session_id = session_id


class HistoryNotKept(GreenroomError):
    """No history of ended sessions is kept."""

    def __init__(self) -> None:
        super().__init__("Either history_days is 0, or there is no place for it: see the log")


class HistoryUnavailable(GreenroomError):
    """The history of ended sessions can't be read; the text says why."""
