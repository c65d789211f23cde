"""The one stream of pictures of a session's page, which all who watch share."""

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator

import attrs
import structlog
import trio

from greenroom.actors.actions.inputs import Input
from greenroom.actors.bulkhead import report
from greenroom.actors.errors import ActionFailed, SessionEnded
from greenroom.actors.machine.frame import Frame
from greenroom.actors.machine.ports import Browser
from greenroom.actors.session.record import SessionRecord

# How long the browser goes on taking pictures after the last wish for one.
_LINGER_S = 0.5
# How long to wait after pictures have failed before they are asked for again.
_AGAIN_S = 1.0

_log = structlog.get_logger("greenroom.session")


@attrs.frozen
class Numbered:
    """A picture, and its number among those of the session, from 1."""

    seq: int
    frame: Frame


@attrs.define(eq=False, repr=False)
class SharedView:
    """One stream of pictures of the selected page, for any number of watchers.

    Pictures are taken only while somebody waits for one, as often and as well as the most demanding of them
    wishes. A watcher who is slow gets fewer, always the latest.
    """

    _record: SessionRecord
    _browser: Browser
    _over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _wishes: dict[object, tuple[float, int]] = attrs.field(factory=dict, init=False)
    _latest: Numbered = attrs.field(init=False)
    _taken: int = attrs.field(default=0, init=False)
    _is_fresh: bool = attrs.field(default=False, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)
    _wished: trio.Event = attrs.field(factory=trio.Event, init=False)
    _has_failed: bool = attrs.field(default=False, init=False)
    _viewing: trio.CancelScope | None = attrs.field(default=None, init=False)
    _asked: tuple[float, int] = attrs.field(default=(0.0, 0), init=False)

    async def next(self, after: int, *, fps: float, quality: int) -> Numbered:
        """Wait for a picture with a number over `after`, and return the latest.

        Raises `SessionEnded` once the session ends.
        """
        wish = object()
        self._wishes[wish] = (fps, quality)
        self._tell_wish()
        try:
            while not self._over.is_set():
                if self._is_fresh and self._latest.seq > after:
                    return self._latest
                await self._news.wait()
            raise SessionEnded(self._record.info())
        finally:
            self._wishes.pop(wish, None)

    async def run(self) -> None:
        """Take pictures while somebody wishes for them, for as long as the session lives."""
        while True:
            await self._wait_wished(math.inf)
            self._asked = self._most
            fps, quality = self._asked
            with trio.CancelScope() as self._viewing, self._noting_failure():
                async with self._browser.view(fps=fps, quality=quality) as frames:
                    while await self._wait_wished(_LINGER_S):
                        frame = await frames.receive()
                        self._taken += 1
                        self._latest, self._is_fresh = Numbered(self._taken, frame), True
                        self._wishes.clear()  # all are granted
                        self._news.set()
                        self._news = trio.Event()
            self._viewing, self._is_fresh = None, False
            if self._has_failed:
                await trio.sleep(_AGAIN_S)

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Keep what goes wrong with pictures from ending the session; a lost browser does end it."""
        self._has_failed = False
        try:
            yield
        except ActionFailed as exc:
            self._has_failed = True
            report(_log.warning, "no pictures", session_id=self._record.id, detail=exc.detail)

    def stop(self) -> None:
        """Wake all who wait: the session ends."""
        self._over.set()
        self._news.set()

    async def wait_over(self) -> None:
        """Return once there are no more pictures: the session ends."""
        await self._over.wait()

    @property
    def _most(self) -> tuple[float, int]:
        fps, quality = zip(*self._wishes.values(), strict=True)
        return max(fps), max(quality)

    def _tell_wish(self) -> None:
        self._wished.set()
        self._wished = trio.Event()
        fps, quality = self._most
        if self._viewing is not None and (fps > self._asked[0] or quality > self._asked[1]):
            self._viewing.cancel(reason="a watcher wishes for more")

    async def _wait_wished(self, seconds: float) -> bool:
        """Wait until somebody waits for a picture; return False if nobody does for so long."""
        with trio.move_on_after(seconds):
            while not self._wishes:
                await self._wished.wait()
        return bool(self._wishes)


@attrs.frozen(eq=False, kw_only=True)
class Watching:
    """One watcher's place in a live session, as `SessionHandle.watch` opens it."""

    view: SharedView
    check_control: Callable[[str | None], None]
    """Raises `ControlHeld` unless whoever shows this lease has control."""
    _by_hand: Callable[[Input, str | None], Awaitable[None]]

    async def do_by_hand(self, given: Input, lease: str | None) -> None:
        """Do something in the page, as the person who has control and shows the token of their lease.

        Raises `ControlHeld`, a kind of `ActionFailed`, or `SessionEnded`.
        """
        await self._by_hand(given, lease)
