"""The session actor: owns one clone and one browser from the first byte copied to the last process gone."""

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import attrs
import outcome
import structlog
import trio

from actors.admission import Admission, Place
from actors.bulkhead import as_error, report
from actors.commands import Caller, Claim, End, SessionSpec
from actors.errors import (
    BrowserLost,
    CleanupIncomplete,
    CloneFailed,
    CreationTimedOut,
    GreenroomError,
    NotLoggedIn,
    OverBudget,
    SessionDeleted,
    SupervisorStopped,
)
from actors.events import SessionEvent
from actors.lifecycle import EndReason, ProcessCount, Receipt, SessionInfo, SessionState
from actors.machine.sampler import ScanFailed
from actors.ports import Browser, Clone, World
from actors.resources import Usage
from actors.verdict import Verdict

# A creation answers at most this long after its deadline, cleaned up or not.
ANSWER_GRACE_S = 0.9
# How long a browser may take to close by itself before it is killed.
CLOSE_GRACE_S = 5.0
# How often what a session uses is sampled: each sample costs some 30 ms of a core.
SAMPLE_S = 5.0
# How long a warm session may take to show that it is fit to be handed out.
FITNESS_S = 1.0
# How long to look for what a failed cleanup has left.
_SURVEY_S = 5.0

_POLITE_ENDS = {EndReason.EXPIRED, EndReason.DELETED, EndReason.SHUTDOWN}

_log = structlog.get_logger("greenroom.session")


# Made once: subscripting the generic is slower than opening the channel.
_open_mailbox = trio.open_memory_channel[End | Claim]


@attrs.define(eq=False, repr=False)
class SessionActor:
    """One session, from its creation to its end.

    Without a caller it is launched ahead: it waits, warm, to be claimed by one. `run` is the actor's whole
    life; other tasks may read `info()` and the properties, and reach it by `mailbox`. `off_shelf` is set once
    it is no longer to be claimed: somebody has, or it has ended.
    """

    spec: SessionSpec
    caller: Caller | None
    world: World
    admission: Admission
    publish: Callable[[SessionEvent], None]
    mailbox: trio.MemorySendChannel[End | Claim] = attrs.field(init=False)
    off_shelf: trio.Event = attrs.field(factory=trio.Event, init=False)
    _inbox: trio.MemoryReceiveChannel[End | Claim] = attrs.field(init=False)
    _state: SessionState = attrs.field(default=SessionState.CLONING, init=False)
    _ended_in: SessionState | None = attrs.field(default=None, init=False)
    _reason: EndReason | None = attrs.field(default=None, init=False)
    _error: GreenroomError | None = attrs.field(default=None, init=False)
    _verdict: Verdict | None = attrs.field(default=None, init=False)
    _created_at: datetime = attrs.field(factory=lambda: datetime.now(UTC), init=False)
    _expires_at: datetime | None = attrs.field(default=None, init=False)
    _usage: Usage | None = attrs.field(default=None, init=False)
    _may_leave: bool = attrs.field(default=False, init=False)
    _left: tuple[str, ...] = attrs.field(default=(), init=False)
    _receipt: Receipt | None = attrs.field(default=None, init=False)
    _clone: Clone | None = attrs.field(default=None, init=False)
    _browser: Browser | None = attrs.field(default=None, init=False)
    _phase_started: float = attrs.field(factory=trio.current_time, init=False)
    _phase_s: dict[SessionState, float] = attrs.field(factory=dict, init=False)
    _life: trio.CancelScope = attrs.field(init=False)
    _shelf: trio.CancelScope = attrs.field(init=False)
    _claim: Claim | None = attrs.field(default=None, init=False)
    _beside: trio.Nursery = attrs.field(init=False)
    _settled: trio.Event = attrs.field(factory=trio.Event, init=False)
    _is_answered: bool = attrs.field(default=False, init=False)
    _end_replies: list[trio.MemorySendChannel[outcome.Maybe[None]]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.mailbox, self._inbox = _open_mailbox(0)
        ahead = trio.current_time() + self.spec.creation_timeout_s
        self._life = trio.CancelScope(deadline=self.caller.deadline if self.caller else ahead)

    @property
    def is_live(self) -> bool:
        """Whether the session is past its creation."""
        return self._expires_at is not None

    @property
    def latest_end(self) -> float:
        """The time, on Trio's clock, at which the session ends at the latest."""
        if self._expires_at is not None:
            return self._life.deadline
        return self._life.deadline + self.spec.max_duration_s

    @property
    def is_warm(self) -> bool:
        """Whether it waits to be claimed."""
        return self._state is SessionState.WARM and self._claim is None and self._reason is None

    @property
    def warm_s(self) -> float:
        """How many seconds it was at hand, launched ahead, when it went on from there; 0 before."""
        return self._phase_s.get(SessionState.WARM, 0)

    @property
    def error(self) -> GreenroomError | None:
        """What went wrong, if that is why it ends."""
        return self._error

    @property
    def reason(self) -> EndReason | None:
        """Why it ends, or ended; None while it does not."""
        return self._reason

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
            is_requested=self.caller is not None,
            profile_version=self._clone.version if self._clone else None,
        )

    async def run(self) -> None:
        """Create the session, answer the caller, live until there is a reason to end, clean up.

        Never raises: failures are answered and published. Whatever happens, cancellation included, the
        browser and the clone are gone when this returns.
        """
        try:
            self._publish()
            async with trio.open_nursery() as self._beside:
                self._beside.start_soon(self._contain, self._read_mailbox)
                if self.caller is not None:
                    self._serve(self.caller)
                try:
                    with self._life, self._noting_failure():
                        await self._live()
                finally:
                    await self._see_what_is_left()
                    self._enter(SessionState.ENDED)
                    self._beside.cancel_scope.cancel(reason="the session has ended")
        except* Exception as group:
            self.give_up(group)
        finally:
            self._answer(refused=True)
            self._close_channels()

    def give_up(self, exc: Exception) -> None:
        """Take the session for ended, and tell all who wait: what holds it together has itself failed."""
        self._fail(exc)
        self._enter_ending()
        if self._state is not SessionState.ENDED:
            self._enter(SessionState.ENDED)
        self._answer(refused=True)
        self._close_channels()

    def _serve(self, caller: Caller) -> None:
        """From now on, there is somebody who waits."""
        self.caller = caller
        caller.when_left(lambda: self._end(EndReason.CALLER_LEFT))
        self._beside.start_soon(self._contain, self._answer_in_time, caller)

    async def _live(self) -> None:
        is_ahead = self.caller is None
        with self.admission.place(deadline=self._life.deadline, is_patient=is_ahead) as place:
            async with self.world.profiles.open_clone(self.spec.id) as clone:
                self._clone = clone
                await self._stand_in_line(place)
                self._enter(SessionState.LAUNCHING)
                async with self.world.browsers.open_browser(self.spec.id) as browser:
                    self._browser = browser
                    try:
                        await self._use(browser, clone, place)
                    finally:
                        if self._expires_at and self._reason in _POLITE_ENDS:
                            await self._close_politely(browser)

    async def _stand_in_line(self, place: Place) -> None:
        """Wait for the turn to launch; whoever launches ahead has time."""
        if not place.is_free:
            self._enter(SessionState.QUEUED)
        if self.caller is None:
            place.deadline = self._life.deadline = math.inf
        await place.wait()
        if self.caller is None:
            place.deadline = self._life.deadline = trio.current_time() + self.spec.creation_timeout_s

    async def _use(self, browser: Browser, clone: Clone, place: Place) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._contain, self._watch_use, browser, clone)
            with self._noting_failure():
                await browser.launch(clone.path, headless=self.spec.headless)
                with contextlib.ExitStack() as hurrying:
                    if self.caller is not None:
                        hurrying.enter_context(self.admission.hurry())
                    place.leave()
                    if self.caller is None:
                        await self._wait_for_claim(browser, clone)
                        hurrying.enter_context(self.admission.hurry())
                    await self._create(browser)
                await browser.wait_lost()
            nursery.cancel_scope.cancel(reason="the session ends")

    async def _wait_for_claim(self, browser: Browser, clone: Clone) -> None:
        """Stay warm until a caller claims the session, and take it if it is fit for that.

        A rehearsal comes first: a browser takes longer for what it does for the first time.
        """
        await browser.rehearse(self.spec.url)
        self._life.deadline = trio.current_time() + self.spec.warm_max_age_s
        self._enter(SessionState.WARM)
        claim: Claim | None = None
        while claim is None:
            claim = await self._next_claim(browser, clone)
        self._created_at = datetime.now(UTC)
        self._life.deadline = claim.caller.deadline
        self._serve(claim.caller)
        self.off_shelf.set()
        claim.reply_to.send_nowait(True)

    async def _next_claim(self, browser: Browser, clone: Clone) -> Claim | None:
        """Wait for a claim and return it, or None if its caller has left by the time that all is well."""
        with trio.CancelScope() as self._shelf:
            await browser.wait_lost()
        if (claim := self._claim) is None:
            raise RuntimeError("the wait ended without a claim")
        if not await self._is_fit(browser, clone):
            self._end(EndReason.DISCARDED)
            await trio.lowlevel.checkpoint()
        if not claim.caller.has_left:
            return claim
        self._claim = None
        claim.reply_to.close()
        return None

    async def _is_fit(self, browser: Browser, clone: Clone) -> bool:
        """Return whether the browser answers, and the master profile is what it was."""
        with trio.move_on_after(FITNESS_S), contextlib.suppress(BrowserLost):
            await browser.probe()
            return await self.world.profiles.is_current(clone)
        return False

    async def _watch_use(self, browser: Browser, clone: Clone) -> None:
        """Sample what the session uses, and end it when that is too much, or nobody could use it any more.

        A sample that fails, as without a thread or a file descriptor left, is only missing.
        """
        is_failing = False
        while self._reason is None:
            await trio.sleep(SAMPLE_S)
            try:
                await self._sample(browser, clone)
                is_failing = False
            except ScanFailed:  # logged already, once for all sessions
                pass
            except Exception as exc:
                if not is_failing:
                    report(_log.warning, "samples can't be taken", session_id=self.spec.id, detail=repr(exc))
                is_failing = True

    async def _sample(self, browser: Browser, clone: Clone) -> None:
        if self.is_warm and not await self.world.profiles.is_current(clone) and self.is_warm:
            self._end(EndReason.DISCARDED)
            return
        self._usage = await browser.measure(clone.path)
        if breach := self.spec.budget.breach(self._usage):
            self._fail(OverBudget(breach))
            self._life.cancel(reason="the session is over its budget")

    async def _create(self, browser: Browser) -> None:
        self._enter(SessionState.NAVIGATING)
        await browser.navigate(self.spec.url)
        self._enter(SessionState.JUDGING)
        self._verdict = await self.spec.detector.judge(browser)
        if not self._verdict.is_usable:
            raise NotLoggedIn(self._verdict)
        await trio.lowlevel.checkpoint()  # the last moment at which the creation deadline counts
        self._life.deadline = trio.current_time() + self.spec.max_duration_s
        self._expires_at = datetime.now(UTC) + timedelta(seconds=self.spec.max_duration_s)
        self._enter(SessionState.LIVE)
        self._settled.set()
        self._answer()

    async def _close_politely(self, browser: Browser) -> None:
        with trio.move_on_after(CLOSE_GRACE_S, shield=True), contextlib.suppress(BrowserLost):
            await browser.close()

    async def _see_what_is_left(self) -> None:
        """Look at the machine itself if cleaning up may have left something there."""
        if not (self._may_leave or (self._clone and self._clone.left)):
            return
        self._left = ("unknown",)
        with trio.move_on_after(_SURVEY_S, shield=True):
            try:
                self._left = (await self.world.estate.survey()).kinds_of(self.spec.id)
            except Exception as exc:
                report(_log.warning, "what is left can't be told", session_id=self.spec.id, detail=repr(exc))
        if self._left:
            report(_log.error, "cleaning up has left something", session_id=self.spec.id, left=self._left)

    # What goes on beside the session's own life

    async def _contain(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run `task`; what it raises is the end of the session, and of nothing else."""
        try:
            await task(*args)
        except Exception as exc:
            self._fail(exc)
            self._life.cancel(reason="the session has failed")

    async def _read_mailbox(self) -> None:
        async for message in self._inbox:
            match message:
                case End(reason=reason, reply_to=reply_to):
                    self._end_replies.append(reply_to)
                    self._end(reason)
                case Claim(reply_to=reply_to):
                    if self.is_warm:
                        self._claim = message
                        self._shelf.cancel(reason="a caller claims the session")
                    else:
                        reply_to.close()

    async def _answer_in_time(self, caller: Caller) -> None:
        """Tell the caller that there is no session even if cleaning up drags on."""
        try:
            with trio.move_on_at(caller.deadline + ANSWER_GRACE_S):
                await self._settled.wait()
                return
        except trio.Cancelled:  # from outside, if it has not ended: it may take long to do so
            if self._state is not SessionState.ENDED:
                caller.reply_to.close()
            raise
        self._answer(refused=True)

    def _answer(self, *, refused: bool = False) -> None:
        """Answer the caller, if there is one who has no answer yet."""
        if self.caller is None or self._is_answered:
            return
        self._is_answered = True
        answer = outcome.Error(self._refusal()) if refused else outcome.Value(self.info())
        try:
            self.caller.reply_to.send_nowait(answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if not refused:
                self._end(EndReason.CALLER_LEFT)

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
        except* Exception as group:  # the one place at which a session's failure is caught
            self._fail(group)
        finally:
            self._enter_ending()

    def _fail(self, exc: Exception) -> None:
        """End the session with an error, or log it where that is no news any more."""
        error = self._in_session(as_error(exc))
        is_cleaning = self._state is SessionState.ENDING
        self._may_leave |= is_cleaning or isinstance(error, CloneFailed)
        if self._reason is None:
            self._error, self._reason = error, error.reason
            return
        log, event = (
            (_log.error, "cleaning up failed") if is_cleaning else (_log.debug, "failed while ending")
        )
        report(
            log,
            event,
            session_id=self.spec.id,
            error=str(error),
            detail=error.detail,
            exc_info=error.__cause__,
        )

    def _enter_ending(self) -> None:
        if self._state in {SessionState.ENDING, SessionState.ENDED}:
            return
        if self._reason is None:
            if trio.current_time() < self._life.deadline:
                self._reason = EndReason.SHUTDOWN  # cancelled from outside
            elif self._state is SessionState.WARM:
                self._reason = EndReason.DISCARDED  # too old
            else:
                self._reason = EndReason.EXPIRED if self._expires_at else EndReason.CREATION_TIMEOUT
        if self._claim is not None and self.caller is None:
            self._claim.reply_to.close()  # at once: the caller is not to wait for this one's end
        self._ended_in = self._state
        self._enter(SessionState.ENDING)

    def _refusal(self) -> GreenroomError:
        if self._error is not None:
            return self._error
        match self._reason:
            case EndReason.DELETED:
                error: GreenroomError = SessionDeleted("The session was deleted while it was being created")
            case EndReason.SHUTDOWN:
                error = SupervisorStopped()
            case _:
                error = CreationTimedOut(self.spec.creation_timeout_s)
        return self._in_session(error)

    def _in_session(self, error: GreenroomError) -> GreenroomError:
        """Say in an error which session it is about, and what that was doing."""
        error.session_id, error.phase = self.spec.id, (self._ended_in or self._state).value
        return error

    # Bookkeeping

    def _enter(self, state: SessionState) -> None:
        now = trio.current_time()
        self._phase_s[self._state] = now - self._phase_started
        self._state, self._phase_started = state, now
        if state is SessionState.ENDED:
            self._receipt = self._make_receipt()
        self._publish()

    def _make_receipt(self) -> Receipt:
        info = self.info()
        return Receipt(
            reason=info.reason or EndReason.FAILED,
            phase_ms=info.phase_ms,
            processes=ProcessCount() if self._browser is None else self._browser.ended,
            bytes_freed=0 if self._clone is None else self._clone.freed_bytes,
            left=self._left,
        )

    def _publish(self) -> None:
        self.publish(SessionEvent(session=self.info(), error=self._error))

    def _close_channels(self) -> None:
        self.off_shelf.set()
        self._inbox.close()
        if self.caller is not None:
            self.caller.reply_to.close()
        for reply_to in self._end_replies:
            with reply_to, contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                reply_to.send_nowait(self._end_answer())

    def _end_answer(self) -> outcome.Maybe[None]:
        if not self._left:
            return outcome.Value(None)
        error = CleanupIncomplete(self._left)
        error.session_id, error.phase = self.spec.id, SessionState.ENDING.value
        return outcome.Error(error)
