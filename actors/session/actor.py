"""The session actor: owns a workspace from the first byte copied to the last process gone."""

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import outcome
import structlog
import trio

from greenroom.actors.admission import Admission, Place
from greenroom.actors.bulkhead import as_error, report
from greenroom.actors.errors import (
    BrowserLost,
    CloneFailed,
    GreenroomError,
    NotLoggedIn,
    SessionNotLive,
)
from greenroom.actors.events import EventKind, SessionEvent
from greenroom.actors.lifecycle import EndReason, ProfileMode, Purpose, SessionInfo, SessionState
from greenroom.actors.machine.ports import Browser, Machine, Workspace
from greenroom.actors.recorder.pace import Pace
from greenroom.actors.recorder.recorder import Recorder
from greenroom.actors.session.answering import Answer
from greenroom.actors.session.committing import commit
from greenroom.actors.session.living import Judge, Living
from greenroom.actors.session.mailbox import (
    Attach,
    Caller,
    Claim,
    End,
    Extend,
    GiveBack,
    Message,
    Run,
    SessionHandle,
    TakeControl,
    Watch,
    open_mailbox,
)
from greenroom.actors.session.record import SessionRecord
from greenroom.actors.session.sampling import Sampling
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.session.warming import Warming
from greenroom.actors.verdict import LoginState

# How long a browser may take to close by itself before it is killed.
CLOSE_GRACE_S = 5.0
# How long to look whether the login was renewed, which takes milliseconds.
_LOOK_S = 1.0
# How long to look for what a failed cleanup has left.
_SURVEY_S = 5.0

_POLITE_ENDS = {
    EndReason.EXPIRED,
    EndReason.IDLE,
    EndReason.DELETED,
    EndReason.CLOSED_BY_CLIENT,
    EndReason.COMPLETED,
    EndReason.LOGIN_LOST,
    EndReason.SHUTDOWN,
}

# Sessions that a person uses, to get to a login among other things.
_BY_HAND = {Purpose.LOGIN, Purpose.BROWSE}
_DONE_AT_ONCE = {Purpose.IMPORT, Purpose.REFRESH}

_log = structlog.get_logger("greenroom.session")


@attrs.define(eq=False, repr=False)
class SessionActor:
    """One session, from its creation to its end.

    Without a caller it is launched ahead: it waits, warm, to be claimed by one. `run` is the actor's whole
    life; other tasks may read `info()` and the properties, and reach it by `mailbox` or the `handle`.
    `unclaimable` is set once nobody can claim it any more: somebody has, or it has ended.
    """

    spec: SessionSpec
    _first_caller: Caller | None = attrs.field(alias="caller")
    machine: Machine
    admission: Admission
    publish: Callable[[SessionEvent], None]
    pace: Pace = attrs.field(factory=Pace)
    mailbox: trio.MemorySendChannel[Message] = attrs.field(init=False)
    unclaimable: trio.Event = attrs.field(factory=trio.Event, init=False)
    handle: SessionHandle = attrs.field(init=False)
    _inbox: trio.MemoryReceiveChannel[Message] = attrs.field(init=False)
    _record: SessionRecord = attrs.field(init=False)
    _recorder: Recorder | None = attrs.field(default=None, init=False)
    _may_leave: bool = attrs.field(default=False, init=False)
    _has_quit: bool = attrs.field(default=False, init=False)
    _browser: Browser | None = attrs.field(default=None, init=False)
    _living: Living | None = attrs.field(default=None, init=False)
    _life: trio.CancelScope = attrs.field(init=False)
    _answer: Answer = attrs.field(init=False)
    _warming: Warming = attrs.field(init=False)
    _beside: trio.Nursery = attrs.field(init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.mailbox, self._inbox = open_mailbox(0)
        if self.spec.recorder_s:
            self._recorder = Recorder(
                session_id=self.spec.id,
                seconds=self.spec.recorder_s,
                with_pictures=self.spec.recorder_pictures,
                pace=self.pace,
            )
        self._record = SessionRecord(
            self.spec.id,
            self._publish,
            is_requested=self._first_caller is not None,
            profile=self.spec.profile,
            purpose=self.spec.purpose,
            keeps_bundles=self._recorder is not None,
        )
        self._answer = Answer(self._record, self.spec.creation_timeout_s, self._first_caller, self._end)
        self._warming = Warming(self._record, self.machine, self._end)
        self.handle = SessionHandle(
            id=self.spec.id,
            info=self.info,
            mailbox=self.mailbox,
            ended=self._ended,
            judge=Judge(lambda: self._living),
        )
        own_deadline = trio.current_time() + self.spec.creation_timeout_s
        self._life = trio.CancelScope(deadline=self.caller.deadline if self.caller else own_deadline)

    def _publish(self, event: SessionEvent) -> None:
        if self._recorder is not None:
            self._recorder.hear(event)
        self.publish(event)

    @property
    def caller(self) -> Caller | None:
        """Who the session is for; None while it is launched ahead and nobody has claimed it."""
        return self._answer.caller

    @property
    def is_live(self) -> bool:
        """Whether the session is past its creation."""
        return self._record.expires_at is not None

    @property
    def latest_end(self) -> float:
        """The time, on Trio's clock, when the session must end."""
        if self._living is not None:
            return self._living.lifetime.expires
        return self._life.deadline + self.spec.max_duration_s

    @property
    def is_warm(self) -> bool:
        """Whether it waits to be claimed."""
        return self._warming.is_open

    @property
    def warm_s(self) -> float:
        """How many seconds it was at hand, launched ahead, when it went on from there; 0 before."""
        return self._record.warm_s

    @property
    def error(self) -> GreenroomError | None:
        """What went wrong, if that is why it ends."""
        return self._record.error

    @property
    def reason(self) -> EndReason | None:
        """Why it ends, or ended; None while it does not."""
        return self._record.reason

    def info(self) -> SessionInfo:
        """Return the session as it is now."""
        return self._record.info()

    async def run(self) -> None:
        """Create the session, answer the caller, live until there is a reason to end, clean up.

        Never raises: failures are answered and published. Whatever happens, cancellation included, the
        workspace is gone when this returns.
        """
        try:
            self._record.publish()
            async with trio.open_nursery() as self._beside:
                self._beside.start_soon(self._go_beside, self._read_mailbox)
                if self.caller is not None:
                    self._serve(self.caller)
                try:
                    with self._life, self._noting_failure():
                        await self._live()
                finally:
                    await self._see_what_is_left()
                    self._record.enter(SessionState.ENDED)
                    self._beside.cancel_scope.cancel(reason="the session has ended")
        except* Exception as group:
            self.give_up(group)
        finally:
            self._answer.refuse()
            self._close()

    def give_up(self, exc: Exception) -> None:
        """Declare the session ended and wake everybody who waits, because its own task failed."""
        self._fail(exc)
        self._enter_ending()
        if self._record.state is not SessionState.ENDED:
            self._record.enter(SessionState.ENDED)
        self._answer.refuse()
        self._close()

    def _serve(self, caller: Caller) -> None:
        """Take `caller` as the one who waits for this session from now on."""
        self._answer.owe(caller)
        self._beside.start_soon(self._go_beside, self._answer.give_in_time, caller)

    async def _live(self) -> None:
        with self.admission.place(deadline=self._life.deadline, is_patient=self.caller is None) as place:
            opening = self.machine.open_workspace(
                self.spec.id, self.spec.profile, purpose=self.spec.purpose, until=self._latest_moment()
            )
            async with opening as workspace:
                self._record.workspace = workspace
                await self._stand_in_line(place)
                self._record.enter(SessionState.LAUNCHING)
                try:
                    await self._use(workspace, place)
                finally:
                    await self._keep_bundle(workspace)
                    is_closed = False
                    if self._browser and self.is_live and self._record.reason in _POLITE_ENDS:
                        is_closed = await self._close_politely(self._browser)
                    if self.is_live and self.spec.profile.mode is ProfileMode.WRITE:
                        self._record.commit = await commit(self._record, workspace, is_closed=is_closed)
                    elif is_closed:
                        await self._tell_rotation(workspace)

    async def _tell_rotation(self, workspace: Workspace) -> None:
        """Tell if the site has renewed the login, which goes with the clone."""
        verdict = self._record.verdict
        if verdict is None or verdict.state is not LoginState.LOGGED_IN:
            return
        with trio.move_on_after(_LOOK_S, shield=True):
            if await workspace.has_rotated():
                self._record.publish(EventKind.PROFILE_ROTATED)

    def _latest_moment(self) -> datetime | None:
        """Return when the session ends at the latest, and a little more, unless it is extended."""
        left_s = self.latest_end + CLOSE_GRACE_S - trio.current_time()
        return datetime.now(UTC) + timedelta(seconds=left_s) if math.isfinite(left_s) else None

    async def _put_off(self) -> None:
        """Tell those who are refused the profile that they have to wait longer."""
        if (workspace := self._record.workspace) is not None and (until := self._latest_moment()):
            with contextlib.suppress(RuntimeError):  # no thread can be started
                await workspace.put_off(until)

    async def _keep_bundle(self, workspace: Workspace) -> None:
        record = self._record
        if self._recorder is not None and record.reason is not None and record.is_bundled:
            kept = await self._recorder.keep(record.reason, record.error, self._browser, workspace)
            record.keeps_bundles = kept
            if record.error is not None:
                record.error.has_bundle = kept

    async def _stand_in_line(self, place: Place) -> None:
        """Wait for a turn to launch. Warm launches have no deadline until it comes."""
        if not place.is_free:
            self._record.enter(SessionState.QUEUED)
        if self.caller is None:
            place.deadline = self._life.deadline = math.inf
        await place.wait()
        if self.caller is None:
            place.deadline = self._life.deadline = trio.current_time() + self.spec.creation_timeout_s

    async def _use(self, workspace: Workspace, place: Place) -> None:
        async with trio.open_nursery() as nursery:
            sampling = Sampling(self.spec, self._record, self._warming, self._end)
            nursery.start_soon(self._contain, sampling.run, workspace)
            with self._noting_failure():
                self._browser = browser = await workspace.launch(headless=self.spec.headless)
                with contextlib.ExitStack() as hurrying:
                    if self.caller is not None:
                        hurrying.enter_context(self.admission.hurry())
                    place.leave()
                    if self.caller is None:
                        await self._wait_for_claim(browser, workspace)
                        hurrying.enter_context(self.admission.hurry())
                    if self._recorder is not None:
                        nursery.start_soon(self._recorder.run, browser, workspace)
                    living = await self._create(browser)
                for task in (living.watch_login, living.control.run, living.release_hand, living.view.run):
                    nursery.start_soon(self._contain, task)
                if self.spec.purpose in _BY_HAND:
                    nursery.start_soon(self._contain, living.look_again)
                elif self.spec.purpose in _DONE_AT_ONCE:
                    self._end(EndReason.COMPLETED)
                await self._wait_lost(browser, workspace)
            nursery.cancel_scope.cancel(reason="the session ends")

    async def _wait_lost(self, browser: Browser, workspace: Workspace) -> None:
        """Wait until the browser is lost, or until a person has closed its window."""
        try:
            await browser.wait_lost()
        except BrowserLost:
            if self.spec.headless or self.spec.purpose not in _BY_HAND:
                raise
            with trio.move_on_after(CLOSE_GRACE_S):
                self._has_quit = await workspace.wait_quit()
            if not self._has_quit:
                raise
            self._end(EndReason.CLOSED_BY_CLIENT)

    async def _wait_for_claim(self, browser: Browser, workspace: Workspace) -> None:
        """Stay warm until a caller claims the session, and accept if it is healthy.

        A rehearsal comes first: a browser takes longer for what it does for the first time.
        """
        await browser.rehearse(self.spec.url)
        self._life.deadline = trio.current_time() + self.spec.warm_max_age_s
        self._record.enter(SessionState.WARM)
        claim = await self._warming.wait(browser, workspace)
        self._record.created_at = datetime.now(UTC)
        self._life.deadline = claim.caller.deadline
        self._serve(claim.caller)
        self.unclaimable.set()
        claim.reply_to.send_nowait(True)

    async def _create(self, browser: Browser) -> Living:
        self._record.enter(SessionState.NAVIGATING)
        if self.spec.state is not None:
            await browser.restore(self.spec.state)
        await browser.navigate(self.spec.url)
        self._record.enter(SessionState.JUDGING)
        self._record.verdict = await self.spec.detector.judge(browser)
        if not self._record.verdict.is_usable and self.spec.purpose not in _BY_HAND:
            raise NotLoggedIn(self._record.verdict)
        await trio.lowlevel.checkpoint()  # the creation deadline no longer applies after this
        self._living = Living(self.spec, self._record, browser, self._life, self._end, self._recorder)
        self._record.enter(SessionState.LIVE)
        self._answer.give()
        return self._living

    async def _close_politely(self, browser: Browser) -> bool:
        """Let the browser save its profile and quit; return whether it has."""
        if not self._has_quit:
            with trio.move_on_after(CLOSE_GRACE_S, shield=True), contextlib.suppress(BrowserLost):
                await browser.close()
                return True
        return self._has_quit

    async def _see_what_is_left(self) -> None:
        """Look at the machine itself if cleaning up may have left something there."""
        if not (self._may_leave or (self._record.workspace and self._record.workspace.left)):
            return
        self._record.left = ("unknown",)
        with trio.move_on_after(_SURVEY_S, shield=True):
            try:
                self._record.left = (await self.machine.survey()).kinds_of(self.spec.id)
            except Exception as exc:
                report(_log.warning, "can't find out what is left", session_id=self.spec.id, detail=repr(exc))
        if self._record.left:
            report(_log.error, "cleanup left something", session_id=self.spec.id, left=self._record.left)

    # Tasks that run alongside the session's life

    async def _contain(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run `task`; what it raises is the end of the session, and of nothing else."""
        try:
            await task(*args)
        except Exception as exc:
            self._fail(exc)
            self._life.cancel(reason="the session has failed")

    async def _go_beside(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a task of `_beside`. If that is cancelled before the session has ended, the reason is outside.

        It is noted at once: whoever waits for an answer may ask why there is none.
        """
        is_over = False
        try:
            await self._contain(task, *args)
            is_over = True
        finally:
            if not is_over and self._record.state is not SessionState.ENDED:
                self._end(EndReason.SHUTDOWN)

    async def _read_mailbox(self) -> None:
        with self._inbox:  # closed as soon as nobody reads it, or senders would wait for all of the cleanup
            async for message in self._inbox:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case End(reason=reason):
                self._end(reason)
            case Claim():
                self._warming.offer(message)
            case Extend() | TakeControl() | GiveBack():
                self._settle(message)
            case Attach() | Watch():
                self._beside.start_soon(self._go_beside, self._take_in, message)
            case Run():
                self._beside.start_soon(self._go_beside, self._carry_out, message)

    def _settle(self, request: Extend | TakeControl | GiveBack) -> None:
        """Answer what takes no time, or refuse it."""
        living = self._living
        with request.reply_to:
            if living is None or self._record.reason is not None:
                self._refuse(request)
                return
            match request:
                case Extend():
                    if living.extend(request) and self.spec.profile.mode is ProfileMode.WRITE:
                        self._beside.start_soon(self._go_beside, self._put_off)
                case TakeControl():
                    living.take_control(request)
                case GiveBack():
                    living.give_back(request)

    async def _take_in(self, request: Attach | Watch) -> None:
        """Take a client or a watcher in, or refuse it; beside the life, as commands are."""
        if self._living is None or self._record.reason is not None:
            with request.reply_to:
                self._refuse(request)
        elif isinstance(request, Attach):
            await self._living.attach(request)
        else:
            await self._living.watch(request)

    def _refuse(self, request: Run[Any] | Extend | TakeControl | GiveBack | Attach | Watch) -> None:
        """Say that the session is not live yet; the channel, closed without an answer, says that it ends."""
        if self._record.reason is None:
            with contextlib.suppress(trio.BrokenResourceError):  # the asker has left
                request.reply_to.send_nowait(outcome.Error(SessionNotLive(self.info())))

    async def _carry_out(self, request: Run[Any]) -> None:
        """Run a command, or refuse it.

        This is a task beside the life, not in it: a command that is slow to be cancelled delays no cleanup.
        """
        if self._living is None or self._record.reason is not None:
            with request.reply_to:
                self._refuse(request)
            return
        lost = await self._living.run(request)
        if lost is not None and self._record.reason is None:
            self._fail(lost)
            self._life.cancel(reason="a command has found the browser lost")

    # Reasons to end: the first one stays

    def _end(self, reason: EndReason) -> None:
        if self._record.reason is None:
            self._record.reason = reason
            self._life.cancel(reason=f"the session ends: {reason.value}")

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """End the session with what goes wrong in the block, and on leaving it in any way enter ENDING."""
        try:
            yield
        except* Exception as group:  # the only place that catches a session's failure
            self._fail(group)
        finally:
            self._enter_ending()

    def _fail(self, exc: Exception) -> None:
        """End the session with an error, or log it if the session is ending already."""
        error = self._record.add_to(as_error(exc))
        is_cleaning = self._record.state is SessionState.ENDING
        self._may_leave |= is_cleaning or isinstance(error, CloneFailed)
        if self._record.reason is None:
            self._record.error, self._record.reason = error, error.reason
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
        if self._record.is_over:
            return
        if self._record.reason is None:
            if trio.current_time() < self._life.deadline:
                self._record.reason = EndReason.SHUTDOWN  # cancelled from outside
            elif self._record.state is SessionState.WARM:
                self._record.reason = EndReason.DISCARDED  # too old
            elif self._living is None:
                self._record.reason = EndReason.CREATION_TIMEOUT
            else:
                is_idle = self._living.lifetime.is_idle_end
                self._record.reason = EndReason.IDLE if is_idle else EndReason.EXPIRED
        if self.caller is None:
            self._warming.refuse()
        self._record.enter(SessionState.ENDING)
        if self._living is not None:
            self._living.stop()

    def _close(self) -> None:
        """Tell all who still wait that there is nothing to wait for."""
        self.unclaimable.set()
        self._inbox.close()
        self._answer.close()
        self._ended.set()
