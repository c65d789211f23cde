"""Warm sessions: launched in advance, so that a request does not wait for a launch."""

from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import NotLoggedIn, ProfileLocked
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.session.actor import SessionActor

# After this many failures in a row there are no more tries until some session is live.
MAX_FAILURES = 5
MAX_BACKOFF_S = 60.0
# A session that stayed warm for this long is not a failed launch, whatever ends it.
LASTED_S = 20.0
# The pause between a warm session that was discarded, deleted or shut down and the next one.
PAUSE_S = 1.0

# Problems that last until a person fixes them and that cost no launch to detect, so the tries go on forever.
_PROFILES_STATE = (NotLoggedIn, ProfileLocked)
_NO_FAILURES = {EndReason.DISCARDED, EndReason.DELETED, EndReason.SHUTDOWN}

_log = structlog.get_logger("greenroom.warm")


@attrs.define(eq=False, kw_only=True, repr=False)
class WarmSessions:
    """Keeps `size` sessions warm: permanent children, replaced when they are claimed or end.

    `room` returns once there is room for another, with the profile that it should be of; `start` starts it
    and returns it. A failed launch is tried
    again after a pause, which doubles each time. After `MAX_FAILURES` in a row the tries stop until a session
    is live, unless the only problem is that the profile is locked or missing.
    """

    size: int
    start: Callable[[str], SessionActor]
    room: Callable[[], Awaitable[str]]
    kept: list[SessionActor] = attrs.field(factory=list, init=False)
    running: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _went_live: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def count(self) -> int:
        """How many warm sessions wait to be claimed."""
        return sum(actor.is_warm for actor in self.kept)

    async def run(self) -> None:
        """Keep them warm until `running` is cancelled. The canceller ends the sessions themselves."""
        with self.running:
            async with trio.open_nursery() as nursery:
                for _ in range(self.size):
                    nursery.start_soon(self._keep_one)

    def has(self, profile: str) -> bool:
        """Return whether one of a profile waits to be claimed."""
        return any(actor.is_warm and actor.spec.profile.name == profile for actor in self.kept)

    def take(self, profile: str) -> SessionActor | None:
        """Take the one of a profile that has waited longest, or return None."""
        for actor in self.kept:
            if actor.is_warm and actor.spec.profile.name == profile:
                self.kept.remove(actor)
                return actor
        return None

    def put_back(self, actor: SessionActor) -> None:
        """Put a session back that was taken, if it is still warm. It is the next to be taken."""
        if actor.is_warm:
            self.kept.insert(0, actor)

    def hear_of_live(self) -> None:
        """Note that some session went live: whatever stopped the others may be over."""
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
        """Keep a session until it can't be claimed any more; return how many have failed in a row by then."""
        profile = await self.room()
        await trio.lowlevel.checkpoint_if_cancelled()  # nothing is started once the supervisor is to stop
        actor = self.start(profile)
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
