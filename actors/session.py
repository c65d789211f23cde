"""The session actor: owns one clone and one browser from the first byte copied to the last process gone."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import attrs
import outcome
import structlog
import trio

from actors.errors import (
    BrowserLost,
    CallerLeft,
    CreationTimedOut,
    GreenroomError,
    InternalFailure,
    NotLoggedIn,
    OverBudget,
    SessionDeleted,
    SupervisorStopped,
)
from actors.events import SessionEvent
from actors.lifecycle import EndReason, ProcessCount, Receipt, SessionInfo, SessionState
from actors.ports import Browser, Clone, World
from actors.resources import Budget, Usage
from actors.verdict import LoginDetector, LoginState, Verdict

# A creation answers at most this long after its deadline, cleaned up or not.
ANSWER_GRACE_S = 0.9
# How long a browser may take to close by itself before it is killed.
CLOSE_GRACE_S = 5.0
# How often what a session uses is sampled: each sample costs some 50 ms of a core.
SAMPLE_S = 5.0

_LOGIN_HINT = "Run `greenroom login` to log the master profile in"
_POLITE_ENDS = {EndReason.EXPIRED, EndReason.DELETED, EndReason.SHUTDOWN}

_log = structlog.get_logger("greenroom.session")


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What one session is to be. Times are seconds."""

    id: str
    url: str
    headless: bool
    creation_timeout_s: float
    max_duration_s: float
    detector: LoginDetector
    budget: Budget


@attrs.frozen(kw_only=True)
class End:
    """Asks a session to end; answered, into a buffer of 1, once everything that it owned is gone."""

    reason: EndReason
    reply_to: trio.MemorySendChannel[outcome.Maybe[None]]


@attrs.frozen(kw_only=True)
class Caller:
    """Whoever waits for a session: where to answer, and how to learn that nobody waits any more."""

    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]
    left: trio.Event


@attrs.define(eq=False)
class SessionActor:
    """One session, from its creation to its end.

    `run` is the actor's whole life; other tasks may read `info()` and `deadline`, and reach it by `mailbox`.
    """

    spec: SessionSpec
    caller: Caller
    world: World
    publish: Callable[[SessionEvent], None]
    mailbox: trio.MemorySendChannel[End] = attrs.field(init=False)
    _inbox: trio.MemoryReceiveChannel[End] = attrs.field(init=False)
    _state: SessionState = attrs.field(default=SessionState.CLONING, init=False)
    _reason: EndReason | None = attrs.field(default=None, init=False)
    _error: GreenroomError | None = attrs.field(default=None, init=False)
    _verdict: Verdict | None = attrs.field(default=None, init=False)
    _created_at: datetime = attrs.field(factory=lambda: datetime.now(UTC), init=False)
    _expires_at: datetime | None = attrs.field(default=None, init=False)
    _usage: Usage | None = attrs.field(default=None, init=False)
    _receipt: Receipt | None = attrs.field(default=None, init=False)
    _clone: Clone | None = attrs.field(default=None, init=False)
    _browser: Browser | None = attrs.field(default=None, init=False)
    _phase_started: float = attrs.field(factory=trio.current_time, init=False)
    _phase_s: dict[SessionState, float] = attrs.field(factory=dict, init=False)
    _creation_deadline: float = attrs.field(init=False)
    _life: trio.CancelScope = attrs.field(init=False)
    _gone: trio.Event = attrs.field(factory=trio.Event, init=False)
    _end_replies: list[trio.MemorySendChannel[outcome.Maybe[None]]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.mailbox, self._inbox = trio.open_memory_channel[End](0)
        self._creation_deadline = trio.current_time() + self.spec.creation_timeout_s
        self._life = trio.CancelScope(deadline=self._creation_deadline)

    @property
    def is_live(self) -> bool:
        """Whether the session is past its creation."""
        return self._expires_at is not None

    @property
    def latest_end(self) -> float:
        """The time, on Trio's clock, at which the session ends at the latest."""
        if self._expires_at is not None:
            return self._life.deadline
        return self._creation_deadline + self.spec.max_duration_s

    def info(self) -> SessionInfo:
        """Return the session as it is now."""
        phase_s = dict(self._phase_s)
        if self._state is not SessionState.ENDED:
            phase_s[self._state] = trio.current_time() - self._phase_started
        return SessionInfo(
            id=self.spec.id,
            state=self._state,
            created_at=self._created_at,
            expires_at=self._expires_at,
            verdict=self._verdict,
            phase_ms={state.value: round(seconds * 1000) for state, seconds in phase_s.items()},
            reason=self._reason,
            usage=self._usage,
            receipt=self._receipt,
        )

    async def run(self) -> None:
        """Create the session, answer the caller, live until there is a reason to end, clean up.

        Never raises: failures are answered and published. Whatever happens, cancellation included, the
        browser and the clone are gone when this returns.
        """
        self._publish()
        try:
            async with trio.open_nursery() as answering:
                answering.start_soon(self._answer_refusal)
                async with trio.open_nursery() as watching:
                    watching.start_soon(self._read_mailbox)
                    watching.start_soon(self._notice_caller_leaving)
                    try:
                        with self._life:
                            await self._live()
                    finally:
                        self._write_receipt()
                        self._enter(SessionState.ENDED)
                        self._gone.set()
                        watching.cancel_scope.cancel(reason="the session has ended")
        finally:
            self._close_channels()

    async def _live(self) -> None:
        with self._noting_failure():
            async with self.world.profiles.open_clone(self.spec.id) as clone:
                self._clone = clone
                self._enter(SessionState.LAUNCHING)
                async with self.world.browsers.open_host(self.spec.id) as browser:
                    self._browser = browser
                    try:
                        await self._use(browser, clone)
                    finally:
                        if self._expires_at and self._reason in _POLITE_ENDS:
                            await self._close_politely(browser)

    async def _use(self, browser: Browser, clone: Clone) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_budget, browser, clone)
            with self._noting_failure():
                await browser.launch(clone.path, headless=self.spec.headless)
                await self._create(browser)
                await browser.wait_lost()
            nursery.cancel_scope.cancel(reason="the session ends")

    async def _watch_budget(self, browser: Browser, clone: Clone) -> None:
        """Sample what the session uses, and end it when that is too much."""
        breach: str | None = None
        while breach is None:
            await trio.sleep(SAMPLE_S)
            try:
                self._usage = await browser.measure(clone.path)
            except OSError as exc:  # such as no file descriptor left: the next sample may succeed
                _log.warning("a sample can't be taken", session_id=self.spec.id, detail=str(exc))
                continue
            breach = self.spec.budget.breach(self._usage)
        self._fail(OverBudget(breach))
        self._life.cancel(reason="the session is over its budget")

    async def _create(self, browser: Browser) -> None:
        self._enter(SessionState.NAVIGATING)
        await browser.navigate(self.spec.url)
        self._enter(SessionState.JUDGING)
        self._verdict = await self.spec.detector.judge(browser)
        if self._verdict.state is not LoginState.LOGGED_IN:
            raise NotLoggedIn(self._verdict, hint=_LOGIN_HINT)
        await trio.lowlevel.checkpoint()  # the last moment at which the creation deadline counts
        self._life.deadline = trio.current_time() + self.spec.max_duration_s
        self._expires_at = datetime.now(UTC) + timedelta(seconds=self.spec.max_duration_s)
        self._enter(SessionState.LIVE)
        try:
            await self.caller.reply_to.send(outcome.Value(self.info()))
        except trio.BrokenResourceError:
            raise CallerLeft("The caller left") from None

    async def _close_politely(self, browser: Browser) -> None:
        with trio.move_on_after(CLOSE_GRACE_S, shield=True), contextlib.suppress(BrowserLost):
            await browser.close()

    # What goes on beside the session's own life

    async def _read_mailbox(self) -> None:
        async for message in self._inbox:
            self._end_replies.append(message.reply_to)
            self._end(message.reason)

    async def _notice_caller_leaving(self) -> None:
        await self.caller.left.wait()
        self._end(EndReason.CALLER_LEFT)

    async def _answer_refusal(self) -> None:
        """Tell the caller why there is no session: when all is cleaned up, but not much past the deadline."""
        with trio.move_on_at(self._creation_deadline + ANSWER_GRACE_S):
            await self._gone.wait()
        if self._expires_at is None:
            with contextlib.suppress(trio.BrokenResourceError):
                await self.caller.reply_to.send(outcome.Error(self._refusal()))

    # Reasons to end: the first one stays

    def _end(self, reason: EndReason) -> None:
        if self._reason is None:
            self._reason = reason
            self._life.cancel(reason=f"the session ends: {reason.value}")

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """End the session with what goes wrong in the block, and on leaving it in any way enter ENDING."""
        try:
            yield
        except Exception as exc:  # the one place at which a session's failure is caught
            self._fail(exc)
        finally:
            self._enter_ending()

    def _fail(self, exc: Exception) -> None:
        error = exc if isinstance(exc, GreenroomError) else InternalFailure(exc)
        if self._error is None and self._reason is None:
            self._error, self._reason = error, error.reason
        else:
            _log.error("cleaning up failed", session_id=self.spec.id, error=str(error), detail=error.detail)

    def _enter_ending(self) -> None:
        if self._state in {SessionState.ENDING, SessionState.ENDED}:
            return
        if self._reason is None:
            if trio.current_time() < self._life.deadline:
                self._reason = EndReason.SHUTDOWN  # cancelled from outside
            else:
                self._reason = EndReason.EXPIRED if self._expires_at else EndReason.CREATION_TIMEOUT
        self._enter(SessionState.ENDING)

    def _refusal(self) -> GreenroomError:
        if self._error is not None:
            return self._error
        match self._reason:
            case EndReason.DELETED:
                return SessionDeleted("The session was deleted while it was being created")
            case EndReason.SHUTDOWN:
                return SupervisorStopped()
            case _:
                return CreationTimedOut(self.spec.creation_timeout_s)

    # Bookkeeping

    def _write_receipt(self) -> None:
        info = self.info()
        self._receipt = Receipt(
            reason=info.reason or EndReason.FAILED,
            phase_ms=info.phase_ms,
            processes=ProcessCount() if self._browser is None else self._browser.ended,
            bytes_freed=0 if self._clone is None else self._clone.freed_bytes,
        )

    def _enter(self, state: SessionState) -> None:
        now = trio.current_time()
        self._phase_s[self._state] = now - self._phase_started
        self._state, self._phase_started = state, now
        self._publish()

    def _publish(self) -> None:
        self.publish(SessionEvent(session=self.info(), error=self._error))

    def _close_channels(self) -> None:
        self._inbox.close()
        self.caller.reply_to.close()
        for reply_to in self._end_replies:
            with reply_to, contextlib.suppress(trio.BrokenResourceError):
                reply_to.send_nowait(outcome.Value(None))
