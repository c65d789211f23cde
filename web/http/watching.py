"""The conversation with one who watches a session over a WebSocket."""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import msgspec
import structlog
import trio
from quart import Websocket

from greenroom.actors.actions.actions import Navigate as NavigateAction
from greenroom.actors.actions.inputs import Input, Mouse
from greenroom.actors.bulkhead import contain
from greenroom.actors.commands import Act
from greenroom.actors.errors import ActionFailed, GreenroomError, SessionEnded
from greenroom.actors.lifecycle import WatchMode
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.session.view import Watching
from greenroom.web.http.errors import InvalidRequest, NotAllowed, code_of
from greenroom.web.http.event_reader import EventReader
from greenroom.web.http.json_bodies import decode
from greenroom.web.http.watch_messages import (
    MIN_FPS,
    Ack,
    FrameMessage,
    Navigate,
    RefusedMessage,
    UseLease,
    View,
    WatchRequest,
    type_of,
)
from greenroom.web.http.who import Who

# How many pictures may be under way to a client.
_WINDOW = 2
MAX_MESSAGE_CHARS: Final = 1 << 19
# How many messages of a client may wait to be carried out.
MAX_WAITING: Final = 200

_log = structlog.get_logger("greenroom.watch")


@attrs.frozen
class Farewell:
    """The end of a conversation, as a WebSocket has it."""

    code: int
    reason: str


OVER: Final = Farewell(1000, "the session has ended")
REVOKED: Final = Farewell(4003, "the link has expired or was revoked")
TOKEN_OVER: Final = Farewell(4003, "the token does not hold any more")
TOO_SLOW: Final = Farewell(4008, "you read too slowly")
MALFORMED: Final = Farewell(1009, "a message is too large")


@attrs.define(eq=False, kw_only=True, repr=False)
class Conversation:
    """One watcher's conversation.

    `check_url` refuses URLs.
    """

    client: Websocket
    handle: SessionHandle
    watching: Watching
    reader: EventReader
    who: Who
    check_url: Callable[[str], None]
    _farewell: Farewell = attrs.field(default=OVER, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _view: View = attrs.field(factory=lambda: View(fps=0), init=False)
    _under_way: deque[int] = attrs.field(factory=deque, init=False)
    _waiting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _view_changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _lease: str | None = attrs.field(default=None, init=False)
    _by_hand: deque[Input | Navigate] = attrs.field(factory=deque, init=False)
    _came_by_hand: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> Farewell:
        """Talk until the session ends, the client may watch no more or is too slow. Never raises."""
        async with trio.open_nursery() as nursery:
            tasks = (
                self._send_events,
                self._send_pictures,
                self._receive,
                self._do_by_hand,
                self._wait_revoked,
            )
            for task in tasks:
                nursery.start_soon(self._contain, task, nursery.cancel_scope)
        return self._farewell

    async def _contain(self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """Run a task; its end is that of the conversation."""
        try:
            await task()
        except SessionEnded:  # the events say so, and are the last to be sent
            return
        except Exception as exc:
            contain(exc, _log, "a conversation with a watcher failed", session_id=self.handle.id)
        scope.cancel(reason="the conversation is over")

    # To the client

    async def _send_events(self) -> None:
        while not self.reader.is_over:
            items = await self.reader.next()
            async with self._sending:
                for item in items:
                    await self.client.send(item.json.decode())
                    if item.type == "dropped":
                        self._farewell = TOO_SLOW
                if not items:
                    await self.client.send('{"type":"heartbeat"}')

    async def _send_pictures(self) -> None:
        seq, due = 0, -math.inf
        while True:
            view = await self._wait_wanted()
            with trio.CancelScope() as self._waiting:
                await trio.sleep_until(due)
                shown = await self.watching.view.next(seq, fps=view.fps, quality=view.quality)
            if self._waiting.cancelled_caught:
                due = -math.inf
                continue
            seq, due = shown.seq, trio.current_time() + 1 / view.fps
            self._under_way.append(seq)
            frame = shown.frame
            about = FrameMessage(seq=seq, page=frame.page, width=frame.width, height=frame.height)
            async with self._sending:
                await self.client.send(msgspec.json.encode(about).decode())
                await self.client.send(frame.jpeg)

    async def _wait_wanted(self) -> View:
        while self._view.fps == 0 or len(self._under_way) >= _WINDOW:
            await self._view_changed.wait()
        return self._view

    def _change_view(self) -> None:
        self._view_changed.set()
        self._view_changed = trio.Event()

    async def _refuse(self, of: str, why: GreenroomError) -> None:
        explanation = why.told if isinstance(why, ActionFailed) else ""
        message = RefusedMessage(of=of, code=code_of(why), details=str(why), explanation=explanation or None)
        async with self._sending:
            await self.client.send(msgspec.json.encode(message).decode())

    # From the client

    async def _receive(self) -> None:
        while True:
            message = await self.client.receive()
            if len(message) > MAX_MESSAGE_CHARS:
                self._farewell = MALFORMED
                return
            try:
                await self._take(decode(message, WatchRequest))  # type: ignore[arg-type]
            except GreenroomError as exc:
                await self._refuse(type_of(message), exc)

    async def _take(self, message: WatchRequest) -> None:
        match message:
            case View(fps=fps) if 0 < fps < MIN_FPS:
                raise InvalidRequest(f"Expected 0, or at least {MIN_FPS} - at `$.fps`")
            case View():
                self._view = message
                self._waiting.cancel(reason="the client wishes for other pictures")
                self._change_view()
            case Ack(seq=seq):
                while self._under_way and self._under_way[0] <= seq:
                    self._under_way.popleft()
                self._change_view()
            case UseLease(lease=lease):
                self._lease = lease
            case _ if self.who.mode is not WatchMode.CONTROL:
                raise NotAllowed("You can only watch")
            case _ if len(self._by_hand) >= MAX_WAITING:
                raise InvalidRequest("Too much is waiting to be done by hand")
            case _:
                self._queue(message)

    def _queue(self, given: Input | Navigate) -> None:
        """Put something by hand into the queue; a movement of the mouse replaces one that waits."""
        last = self._by_hand[-1] if self._by_hand else None
        if _is_move(given) and _is_move(last):
            self._by_hand.pop()
        self._by_hand.append(given)
        self._came_by_hand.set()
        self._came_by_hand = trio.Event()

    async def _do_by_hand(self) -> None:
        while True:
            while not self._by_hand:
                await self._came_by_hand.wait()
            given = self._by_hand.popleft()
            of = str(given.__struct_config__.tag)
            try:
                if isinstance(given, Navigate):
                    self.check_url(given.url)
                    self.watching.check_control(self._lease)
                    action = NavigateAction(url=given.url, wait_until="commit")
                    await self.handle.run(Act((action,)), lease=self._lease)
                else:
                    await self.watching.do_by_hand(given, self._lease)
            except SessionEnded:
                raise
            except GreenroomError as exc:
                await self._refuse(of, exc)

    async def _wait_revoked(self) -> None:
        await self.who.wait_over()
        self._farewell = REVOKED if self.who.link else TOKEN_OVER


def _is_move(given: Input | Navigate | None) -> bool:
    return isinstance(given, Mouse) and given.action == "move"
