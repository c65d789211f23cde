"""A session's live phase: commands, clients, watchers, control, more time, and who is logged in."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import outcome
import trio

from greenroom.actors.actions.actions import Operation
from greenroom.actors.actions.inputs import Input, Release
from greenroom.actors.errors import ActionFailed, BrowserLost, SessionEnded, UpstreamUnreachable
from greenroom.actors.events import ActionNote, EventKind
from greenroom.actors.lifecycle import EndReason, Purpose
from greenroom.actors.machine.ports import Browser
from greenroom.actors.recorder.recorder import Recorder
from greenroom.actors.session.clients import Clients
from greenroom.actors.session.control import Control
from greenroom.actors.session.lifetime import Lifetime
from greenroom.actors.session.mailbox import Attach, Extend, GiveBack, Run, TakeControl, Watch
from greenroom.actors.session.record import SessionRecord
from greenroom.actors.session.running import RunningCommands
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.session.view import SharedView, Watching
from greenroom.actors.session.watchers import Watchers
from greenroom.actors.verdict import LoginState, Verdict

# How long to wait after a look at who is logged in before the next.
_PAUSE_S = 2.0


@attrs.define(eq=False, repr=False)
class Living:
    """A session's live phase, which begins when this is made. `end` ends the session for a reason."""

    _spec: SessionSpec
    _record: SessionRecord
    _browser: Browser
    _scope: trio.CancelScope
    _end: Callable[[EndReason], None]
    _recorder: Recorder | None = None
    lifetime: Lifetime = attrs.field(init=False)
    control: Control = attrs.field(init=False)
    view: SharedView = attrs.field(init=False)
    _watching: Watching = attrs.field(init=False)
    _watchers: Watchers = attrs.field(init=False)
    _commands: RunningCommands = attrs.field(init=False)
    _clients: Clients = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.control = Control(self._record)
        self._commands = RunningCommands(self._spec.id, self.control, self._note_typed, self._tell_action)
        self.view = SharedView(self._record, self._browser)
        self._watching = Watching(
            view=self.view, check_control=self.control.check_by_hand, by_hand=self._do_by_hand
        )
        self._watchers = Watchers(self._record)
        self._clients = Clients(self._record, self._browser, self.control, self._end)
        self.lifetime = Lifetime(
            scope=self._scope,
            max_duration_s=self._spec.max_duration_s,
            ceiling_s=self._spec.ceiling_s,
            idle_timeout_s=self._spec.idle_timeout_s,
        )
        self._note_expiry()

    def _note_expiry(self) -> None:
        left_s = self.lifetime.expires - trio.current_time()
        self._record.expires_at = datetime.now(UTC) + timedelta(seconds=left_s)

    async def run(self, request: Run[Any]) -> BrowserLost | None:
        """Run a command when its turn comes; see `RunningCommands.run`."""
        with self.lifetime.used():
            return await self._commands.run(request, self._browser)

    async def attach(self, request: Attach) -> None:
        """Take a client in until it leaves; see `Clients.attach`."""
        with self.lifetime.used():
            await self._clients.attach(request)

    async def watch(self, request: Watch) -> None:
        """Take a watcher in until they leave; see `Watchers.watch`."""
        await self._watchers.watch(request, self._watching)

    async def _do_by_hand(self, given: Input, lease: str | None) -> None:
        if self._record.reason is not None:
            raise SessionEnded(self._record.info())
        self.control.check_by_hand(lease)
        self._note_typed(given)
        with self.lifetime.used():
            try:
                await self._browser.do_by_hand(given)
            except BrowserLost:  # the loss is noticed elsewhere
                raise SessionEnded(self._record.info()) from None

    def _note_typed(self, given: Operation | Input) -> None:
        if self._recorder is not None:
            self._recorder.note_typed(given)

    def _tell_action(self, action: ActionNote) -> None:
        self._record.publish(EventKind.ACTION, action)

    def take_control(self, request: TakeControl) -> None:
        """Give a person control and answer, with `ControlHeld` if another has it."""
        with contextlib.suppress(trio.BrokenResourceError):  # the asker has left
            request.reply_to.send_nowait(
                outcome.capture(self.control.take, request.by, request.ttl_s, request.lease)
            )

    def give_back(self, request: GiveBack) -> None:
        """Let programs act again and answer."""
        given = outcome.capture(self.control.give_back, request.lease)
        with contextlib.suppress(trio.BrokenResourceError):
            request.reply_to.send_nowait(
                given if isinstance(given, outcome.Error) else outcome.Value(self._record.info())
            )

    def extend(self, request: Extend) -> bool:
        """Give the session more time and answer, unless its time is over; return whether it has more."""
        can_be = not self.lifetime.is_over
        if can_be:
            self.lifetime.extend(request.seconds)
            self._note_expiry()
            self._record.publish(EventKind.EXTENDED)
            with contextlib.suppress(trio.BrokenResourceError):  # the asker has left
                request.reply_to.send_nowait(outcome.Value(self._record.info()))
        return can_be

    async def release_hand(self) -> None:
        """Let go of what a person holds down whenever they have lost control."""
        while True:
            await self.control.wait_held()
            await self.control.wait_free()
            with contextlib.suppress(ActionFailed, BrowserLost):  # the loss is noticed elsewhere
                await self._browser.do_by_hand(Release())

    async def watch_login(self) -> None:
        """Look again who is logged in whenever a page has gone to another document."""
        while True:
            await self._browser.wait_navigated()
            with contextlib.suppress(UpstreamUnreachable, BrowserLost):  # the loss is noticed elsewhere
                await self.judge()
            await trio.sleep(_PAUSE_S)  # a page that navigates all the time must not keep its host busy

    async def look_again(self) -> None:
        """Look at the page again and again, since a person uses it.

        The session ends once it shows a login that can be used, if it is there to log in.
        """
        while True:
            with contextlib.suppress(UpstreamUnreachable, BrowserLost):
                # Also one that decides nothing: it says what the page asks for.
                verdict = self._record.verdict = await self._spec.detector.judge(self._browser)
                if verdict.is_usable and self._spec.purpose is Purpose.LOGIN:
                    self._end(EndReason.COMPLETED)
                    return
            await trio.sleep(_PAUSE_S)

    async def judge(self) -> Verdict:
        """Judge the page as it is, without loading it again; keep the verdict if it decides anything."""
        verdict = await attrs.evolve(self._spec.detector, retries=0).judge(self._browser)
        before = self._record.verdict
        if verdict.state is LoginState.UNCERTAIN or before is None:
            return verdict
        self._record.verdict = verdict
        if verdict.state is not before.state:
            self._tell_turn(verdict)
        return verdict

    def _tell_turn(self, verdict: Verdict) -> None:
        if self._spec.purpose is Purpose.LOGIN:
            return  # nothing was lost before, and its end tells
        if verdict.state is LoginState.LOGGED_IN:
            self._record.publish(EventKind.LOGIN_BACK)
            return
        self._record.publish(EventKind.LOGIN_LOST)
        if self._spec.ends_without_login:
            self._end(EndReason.LOGIN_LOST)

    def stop(self) -> None:
        """Cancel all commands, and part with all clients and watchers."""
        self._commands.stop()
        self.control.stop()
        self.view.stop()
        self._watchers.stop()
        self._clients.stop()


@attrs.frozen(eq=False)
class Judge:
    """Judge the page again: a command of the session's own, which keeps the verdict."""

    _living: Callable[[], Living | None]

    async def apply(self, browser: Browser) -> Verdict:  # noqa: ARG002  # the live phase has it
        """Return the verdict."""
        living = self._living()
        if living is None:
            raise RuntimeError("a command runs in a session that is not live")
        return await living.judge()
