"""Warm sessions: launched in advance, so that a request does not wait for a launch."""

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import NotLoggedIn, ProfileLocked
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.session.actor import SessionActor

# After so many failures in a row there is no further try, until some session is live.
MAX_FAILURES = 5
MAX_BACKOFF_S = 60.0
# A session that was at hand for so long is no failure of launching ahead, whatever ends it.
LASTED_S = 20.0
# Between a warm session that was discarded, deleted or sent away and the next one.
PAUSE_S = 1.0

# What is so until a person does something about it, and costs no launch to find out: asked for ever.
_PROFILES_STATE = (NotLoggedIn, ProfileLocked)
_NO_FAILURES = {EndReason.DISCARDED, EndReason.DELETED, EndReason.SHUTDOWN}

_log = structlog.get_logger("greenroom.warm")


@attrs.define(eq=False, kw_only=True, repr=False)
class WarmSessions:
    """Keeps `size` sessions launched ahead: permanent children, replaced when they are claimed or end.

    `start` starts one and returns it; `room` returns once there is room for another. What fails is tried
    again after a pause that doubles; after `MAX_FAILURES` in a row it is left off until a session is live,
    unless it is only that the master profile is locked or missing.
    """

    size: int
    start: Callable[[], SessionActor]
    room: Callable[[], Awaitable[None]]
    kept: list[SessionActor] = attrs.field(factory=list, init=False)
    running: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _went_live: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def count(self) -> int:
        """How many wait to be claimed."""
        return sum(actor.is_warm for actor in self.kept)

    async def run(self) -> None:
        """Keep them until `running` is cancelled; the canceller ends the sessions themselves."""
        with self.running:
            async with trio.open_nursery() as nursery:
                for _ in range(self.size):
                    nursery.start_soon(self._keep_one)

    def take(self) -> SessionActor | None:
        """Take the one that has waited longest, or return None."""
        for actor in self.kept:
            if actor.is_warm:
                self.kept.remove(actor)
                return actor
        return None

    def put_back(self, actor: SessionActor) -> None:
        """Put one that was taken back to where it was, the next to be taken, if it is still warm."""
        if actor.is_warm:
            self.kept.insert(0, actor)

    def hear_of_live(self) -> None:
        """Learn that some session went live: what kept others from it may be over."""
        self._went_live.set()
        self._went_live = trio.Event()

    async def _keep_one(self) -> None:
        failures = 0
        while True:
            try:
                failures = await self._keep_next(failures)
            except Exception as exc:
                contain(exc, _log, "keeping a warm session failed")
                await trio.sleep(MAX_BACKOFF_S)

    async def _keep_next(self, failures: int) -> int:
        """Keep one as long as it can be claimed; return how many have failed in a row then."""
        await self.room()
        await trio.lowlevel.checkpoint_if_cancelled()  # nothing is started any more once this is to stop
        actor = self.start()
        self.kept.append(actor)
        try:
            await actor.unclaimable.wait()
        finally:
            if actor in self.kept:
                self.kept.remove(actor)
        if actor.caller is not None:
            return 0
        return await self._pause(actor, 0 if actor.warm_s >= LASTED_S else failures)

    async def _pause(self, actor: SessionActor, failures: int) -> int:
        """Wait until a replacement makes sense; return how many have failed in a row."""
        if actor.reason in _NO_FAILURES:
            await trio.sleep(PAUSE_S)
            return failures
        failures += 1
        if failures < MAX_FAILURES or isinstance(actor.error, _PROFILES_STATE):
            await trio.sleep(min(2.0**failures, MAX_BACKOFF_S))
            return failures
        _log.error(
            "no more warm sessions until a session goes live; the log says why they ended",
            failures=failures,
            error=str(actor.error) if actor.error else None,
            reason=actor.reason.value if actor.reason else None,
        )
        await self._went_live.wait()
        return 0
