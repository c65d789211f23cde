"""The way to a session's actor: its messages, and the handle that sends them."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

import attrs
import outcome
import trio

from greenroom.actors.commands import Command
from greenroom.actors.errors import CleanupIncomplete, SessionEnded
from greenroom.actors.lifecycle import (
    EndReason,
    SessionInfo,
    SessionState,
    WatchMode,
)
from greenroom.actors.machine.ports import Browser
from greenroom.actors.relay.attachment import Attachment
from greenroom.actors.session.control import Lease
from greenroom.actors.session.order import DEFAULT_ORDER, Order
from greenroom.actors.session.view import Watching
from greenroom.actors.verdict import Verdict

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class End:
    """Asks a session to end. There is no answer: wait until the session has ended."""

    reason: EndReason


@attrs.define(eq=False, kw_only=True)
class Caller:
    """A caller waiting for a session: the channel to answer on, with a buffer of 1, and the deadline.

    The deadline is on Trio's clock. `order` is which session they want.
    """

    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]
    deadline: float
    order: Order = DEFAULT_ORDER
    _has_left: bool = attrs.field(default=False, init=False)
    _on_leaving: Callable[[], None] | None = attrs.field(default=None, init=False)

    @property
    def has_left(self) -> bool:
        """Whether the caller has stopped waiting."""
        return self._has_left

    def leave(self) -> None:
        """Note that the caller has stopped waiting, without having taken the answer."""
        self._has_left = True
        if self._on_leaving is not None:
            self._on_leaving()

    def when_left(self, act: Callable[[], None]) -> None:
        """Call `act` once the caller leaves, or at once if it has left. It replaces an earlier `act`."""
        self._on_leaving = act
        if self._has_left:
            act()


@attrs.frozen(kw_only=True)
class Claim:
    """Gives a warm session to a caller. Answered, into a buffer of 1, once its browser has proved healthy.

    If it does not, the channel is closed without an answer, and another session must serve the caller. The
    channel is also closed if the caller has left by then; the session then stays warm.
    """

    caller: Caller
    reply_to: trio.MemorySendChannel[bool]


@attrs.frozen(eq=False, kw_only=True)
class Run(Generic[T]):
    """Asks a live session to run a command; answered once, into a buffer of 1.

    The channel is closed unanswered if the session ends first. The asker cancels `scope` when it leaves.
    While a person has control, a command that acts needs their `lease`, or waits, or is refused.
    """

    command: Command[T]
    reply_to: trio.MemorySendChannel[outcome.Maybe[T]]
    lease: str | None = None
    waits_for_control: bool = False
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)


@attrs.frozen(kw_only=True)
class Extend:
    """Asks a live session to live longer; answered once, into a buffer of 1, with the session as it is then.

    The channel is closed unanswered if the session ends first.
    """

    seconds: float
    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]


@attrs.frozen(kw_only=True, repr=False)
class TakeControl:
    """Asks a live session for control, for a person; with their `lease`, for more time.

    Answered once, into a buffer of 1; the channel is closed unanswered if the session ends first.
    """

    by: str
    ttl_s: float
    lease: str | None
    reply_to: trio.MemorySendChannel[outcome.Maybe[Lease]]


@attrs.frozen(kw_only=True, repr=False)
class GiveBack:
    """Asks a live session to let programs act again: whoever has control, or only the holder of `lease`.

    Answered once, into a buffer of 1, with the session as it is then; closed unanswered if it ends first.
    """

    lease: str | None
    reply_to: trio.MemorySendChannel[outcome.Maybe[SessionInfo]]


@attrs.frozen(eq=False, kw_only=True)
class Watch:
    """Asks a live session to take a watcher in; like `Attach`. Who is not noted is shown to nobody.

    Those who come by the same way, such as by one link, take few of the places.
    """

    name: str
    mode: WatchMode
    by: str | None
    is_noted: bool
    reply_to: trio.MemorySendChannel[outcome.Maybe[Watching]]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)


@attrs.frozen(eq=False, kw_only=True)
class Attach:
    """Asks a live session to take a client in; answered once, into a buffer of 1, when it is attached.

    The channel is closed unanswered if the session ends first. The client stays attached until the asker
    cancels `scope`, or the session ends.
    """

    reply_to: trio.MemorySendChannel[outcome.Maybe[Attachment]]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)


Message = End | Claim | Run[Any] | Extend | TakeControl | GiveBack | Attach | Watch

# Made once: subscripting the generic is slower than opening the channel.
open_mailbox = trio.open_memory_channel[Message]


class _Never:
    """Stands for a command that nobody can run any more."""

    async def apply(self, browser: Browser) -> Verdict:
        raise NotImplementedError


@attrs.frozen(eq=False, kw_only=True, repr=False)
class SessionHandle:
    """One session: look at it, run commands on it, end it.

    A handle writes to the session's actor, not to the registry. It stays valid after the session's end:
    `info` then returns how it ended.
    """

    id: str
    _info: Callable[[], SessionInfo]
    _mailbox: trio.MemorySendChannel[Message]
    _ended: trio.Event
    _judge: Command[Verdict]

    @classmethod
    def of_ended(cls, info: SessionInfo) -> "SessionHandle":
        """Return the handle of a session that has ended, and whose actor is gone."""
        mailbox, nobody = open_mailbox(0)
        nobody.close()
        ended = trio.Event()
        ended.set()
        return cls(id=info.id, info=lambda: info, mailbox=mailbox, ended=ended, judge=_Never())

    def info(self) -> SessionInfo:
        """Return the session as it is now."""
        return self._info()

    async def run(
        self, command: Command[T], *, lease: str | None = None, waits_for_control: bool = False
    ) -> T:
        """Run a command on the live session and return its result.

        One command runs at a time, in order of arrival. Cancelling this cancels the command, and returns
        without waiting for that; what the command has done by then stays done. Raises `SessionNotLive` before
        the session is live, `TooManyCommands` while 16 wait already, `SessionEnded` if the session ends
        before the command does, and what the command raises: as `InternalFailure` if it is not a
        `GreenroomError`.

        While a person has control, what acts in a page raises `ControlHeld`, unless it has the token of their
        `lease`; if it `waits_for_control`, it goes on when programs may act again.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[T]](1)
        request = Run(command=command, reply_to=reply_to, lease=lease, waits_for_control=waits_for_control)
        try:
            return await self._ask(request, reply)
        finally:
            request.scope.cancel(reason="nobody waits for the answer")  # a command that is over ignores it

    async def judge(self) -> Verdict:
        """Look at the session's page again, as it is, and return who is logged in.

        The session keeps the verdict if it decides anything. It takes its turn among the commands, and raises
        what `run` does.
        """
        return await self.run(self._judge)

    async def extend(self, seconds: float) -> SessionInfo:
        """Let the live session live for so much longer, up to its ceiling; return it as it is then.

        Raises `SessionNotLive`, or `SessionEnded` if it ends first.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](1)
        return await self._ask(Extend(seconds=seconds, reply_to=reply_to), reply)

    async def take_control(self, by: str, ttl_s: float, lease: str | None = None) -> Lease:
        """Give a person control of the live session for `ttl_s`, an hour at most; with their lease, anew.

        Programs can't act meanwhile. Raises `SessionNotLive`, `SessionEnded`, or `ControlHeld` if another
        person has control.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Lease]](1)
        return await self._ask(TakeControl(by=by, ttl_s=ttl_s, lease=lease, reply_to=reply_to), reply)

    async def give_back_control(self, lease: str | None = None) -> SessionInfo:
        """Let programs act again, and return the session as it is then. Without a lease, end anybody's.

        Raises `SessionNotLive`, `SessionEnded`, or `ControlHeld` if it is not the lease of who has control.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](1)
        return await self._ask(GiveBack(lease=lease, reply_to=reply_to), reply)

    @contextlib.asynccontextmanager
    async def watch(
        self,
        name: str,
        mode: WatchMode = WatchMode.VIEW,
        *,
        by: str | None = None,
        is_noted: bool = True,
    ) -> AsyncIterator[Watching]:
        """Watch the live session for the length of the block, as `name`. The session shows who watches.

        One who only glances at it need not be noted.

        When the session ends, so does what the watcher waits for: by `SessionEnded`. Raises `SessionNotLive`,
        `SessionEnded`, or `TooManyWatchers` while 50 watch already, or 5 by the same way.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Watching]](1)
        request = Watch(name=name, mode=mode, by=by, is_noted=is_noted, reply_to=reply_to)
        try:
            yield await self._ask(request, reply)
        finally:
            request.scope.cancel(reason="the watcher has left")

    @contextlib.asynccontextmanager
    async def attach(self) -> AsyncIterator[Attachment]:
        """Be a client of the live session's driver for the length of the block, as Playwright is one.

        The connection has the driver's rights: a client that you don't trust goes through `relay`. When the
        session ends, the connection does. Raises `SessionNotLive`, `SessionEnded`, `TooManyClients`
        while 8 are attached already, or `ActionFailed` if the browser can't be attached to.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Attachment]](1)
        request = Attach(reply_to=reply_to)
        try:
            yield await self._ask(request, reply)
        finally:
            request.scope.cancel(reason="the client has left")

    async def _ask(self, request: Message, reply: trio.MemoryReceiveChannel[outcome.Maybe[T]]) -> T:
        with reply:
            try:
                await self._mailbox.send(request)
                answer = await reply.receive()
            except (trio.BrokenResourceError, trio.EndOfChannel):
                raise SessionEnded(self.info()) from None
        return answer.unwrap()

    async def end(self) -> None:
        """End the session and return when its browser and clone are gone; one that has ended is fine.

        Cancelling this stops the wait, not the end. Raises `CleanupIncomplete` if something of the session
        could not be removed.
        """
        await self.ask_to_end(EndReason.DELETED)
        receipt = (await self.wait_ended()).receipt
        if receipt is not None and receipt.left:
            error = CleanupIncomplete(receipt.left)
            error.session_id, error.phase = self.id, SessionState.ENDING.value
            raise error

    async def ask_to_end(self, reason: EndReason) -> None:
        """Ask the session to end, for `reason` unless it has another already. Doesn't wait for the end."""
        with contextlib.suppress(trio.BrokenResourceError):  # it ends already
            await self._mailbox.send(End(reason=reason))

    async def wait_ended(self) -> SessionInfo:
        """Wait until the session has ended, and all that it owned is gone; return how it ended."""
        await self._ended.wait()
        return self.info()
