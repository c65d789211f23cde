"""What is known of a session: its state, its times, why it ends, and the receipt. It acts on nothing."""

from collections.abc import Callable
from datetime import UTC, datetime

import attrs
import trio

from greenroom.actors.errors import GreenroomError
from greenroom.actors.events import ActionNote, EventKind, SessionEvent
from greenroom.actors.lifecycle import (
    DEFAULT_USE,
    Commit,
    EndReason,
    Held,
    ProcessCount,
    ProfileMode,
    ProfileUse,
    Purpose,
    Receipt,
    SessionInfo,
    SessionState,
    Watcher,
)
from greenroom.actors.machine.ports import Workspace
from greenroom.actors.recorder.kept import KEPT
from greenroom.actors.resources import Usage
from greenroom.actors.verdict import Verdict


@attrs.define(eq=False, repr=False)
class SessionRecord:
    """One session's state and history. Only its actor changes it.

    `error` is what went wrong if that is why the session ends; `left` is what cleanup could not remove.
    """

    id: str
    _publish: Callable[[SessionEvent], None]
    is_requested: bool
    profile: ProfileUse = DEFAULT_USE
    purpose: Purpose = Purpose.SESSION
    keeps_bundles: bool = False
    state: SessionState = attrs.field(default=SessionState.CLONING, init=False)
    reason: EndReason | None = attrs.field(default=None, init=False)
    error: GreenroomError | None = attrs.field(default=None, init=False)
    verdict: Verdict | None = attrs.field(default=None, init=False)
    created_at: datetime = attrs.field(factory=lambda: datetime.now(UTC), init=False)
    expires_at: datetime | None = attrs.field(default=None, init=False)
    usage: Usage | None = attrs.field(default=None, init=False)
    peak: Usage | None = attrs.field(default=None, init=False)
    workspace: Workspace | None = attrs.field(default=None, init=False)
    left: tuple[str, ...] = attrs.field(default=(), init=False)
    clients: int = attrs.field(default=0, init=False)
    refused_calls: int = attrs.field(default=0, init=False)
    control: Held | None = attrs.field(default=None, init=False)
    held: tuple[Held, ...] = attrs.field(default=(), init=False)
    watchers: tuple[Watcher, ...] = attrs.field(default=(), init=False)
    watched: tuple[Watcher, ...] = attrs.field(default=(), init=False)
    commit: Commit | None = attrs.field(init=False)
    _receipt: Receipt | None = attrs.field(default=None, init=False)
    _ended_in: SessionState | None = attrs.field(default=None, init=False)
    _phase_started: float = attrs.field(factory=trio.current_time, init=False)
    _phase_s: dict[SessionState, float] = attrs.field(factory=dict, init=False)

    @commit.default
    def _commit_before_live(self) -> Commit | None:
        writes = self.profile.mode is ProfileMode.WRITE
        return Commit(problem="The session never was live") if writes else None

    @property
    def warm_s(self) -> float:
        """How many seconds it was warm, once it is not any more; 0 before."""
        return self._phase_s.get(SessionState.WARM, 0)

    @property
    def is_over(self) -> bool:
        """Whether it is ending or has ended."""
        return self.state in {SessionState.ENDING, SessionState.ENDED}

    @property
    def is_bundled(self) -> bool:
        """Whether a bundle is kept of its last time: it fails, and somebody has asked for it."""
        has_place = self.keeps_bundles and self.is_requested and self.workspace is not None
        return has_place and self.reason in KEPT

    def info(self) -> SessionInfo:
        """Return the session as it is now."""
        phase_s = dict(self._phase_s)
        if self.state is not SessionState.ENDED:
            phase_s[self.state] = trio.current_time() - self._phase_started
        return SessionInfo(
            id=self.id,
            state=self.state,
            created_at=self.created_at,
            expires_at=self.expires_at,
            verdict=self.verdict,
            phase_ms={state.value: round(seconds * 1000) for state, seconds in phase_s.items()},
            reason=self.reason,
            usage=self.usage,
            peak=self.peak,
            receipt=self._receipt,
            is_requested=self.is_requested,
            clients=self.clients,
            refused_calls=self.refused_calls,
            has_bundle=self.is_bundled,
            control=self.control,
            watchers=self.watchers,
            watched=self.watched,
            profile=self.profile,
            purpose=self.purpose,
            profile_version=self.workspace.profile_version if self.workspace else None,
        )

    def enter(self, state: SessionState) -> None:
        """Go on to another state, and publish that."""
        now = trio.current_time()
        if state is SessionState.ENDING:
            self._ended_in = self.state
        self._phase_s[self.state] = now - self._phase_started
        self.state, self._phase_started = state, now
        if state is SessionState.ENDED:
            self._receipt = self._make_receipt()
        self.publish()

    def note_usage(self, usage: Usage) -> None:
        """Keep a new sample, and the highest values of all."""
        self.usage = usage
        self.peak = usage if self.peak is None else self.peak.max_with(usage)

    def publish(self, kind: EventKind = EventKind.STATE, action: ActionNote | None = None) -> None:
        """Tell subscribers what the session is now."""
        self._publish(SessionEvent(kind=kind, session=self.info(), error=self.error, action=action))

    def add_to(self, error: GreenroomError) -> GreenroomError:
        """Add the session's id and phase to an error, and return it."""
        error.session_id, error.phase = self.id, (self._ended_in or self.state).value
        error.has_bundle = self.is_bundled
        return error

    def _make_receipt(self) -> Receipt:
        info = self.info()
        return Receipt(
            reason=info.reason or EndReason.FAILED,
            phase_ms=info.phase_ms,
            processes=self.workspace.ended if self.workspace else ProcessCount(),
            bytes_freed=self.workspace.freed_bytes if self.workspace else 0,
            left=self.left,
            held=self.held,
            commit=self.commit,
        )
