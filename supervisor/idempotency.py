"""Creations with a key: however often one is asked for, it happens once."""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import attrs
import structlog
import trio

from actors.bulkhead import contain
from actors.errors import (
    CapacityExhausted,
    GreenroomError,
    Overloaded,
    ResourcesExhausted,
    SupervisorStopped,
)
from actors.lifecycle import SessionInfo

# How long the outcome of a creation is remembered, and of how many.
KEEP_S = 15 * 60
KEEP = 10_000
# These did nothing: whoever asks again is to be served.
_UNDONE = (CapacityExhausted, Overloaded, ResourcesExhausted, SupervisorStopped)

_log = structlog.get_logger("greenroom.supervisor")


@attrs.define(eq=False)
class _Creation:
    """A creation under way, and how many wait for it."""

    done: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    waiting: int = 0
    outcome: "_Outcome | None" = None


@attrs.frozen
class _Outcome:
    """What came of a creation, and when: there may be thousands, so it is all that is kept of one."""

    result: SessionInfo | GreenroomError
    at: float

    def get(self) -> SessionInfo:
        """Return the session, or raise the error."""
        if isinstance(self.result, GreenroomError):
            raise _bare(self.result)
        return self.result


@attrs.define(eq=False, kw_only=True, repr=False)
class KeyedCreations:
    """Answers every request with the same key with the outcome of the first, for 15 minutes.

    A creation goes on as long as anybody waits for it. `create` makes a session; creations run in `nursery`.
    """

    nursery: trio.Nursery
    create: Callable[[], Awaitable[SessionInfo]]
    _creations: dict[bytes, _Creation] = attrs.field(factory=dict, init=False)
    _outcomes: OrderedDict[bytes, _Outcome] = attrs.field(factory=OrderedDict, init=False)

    async def get(self, key: str) -> SessionInfo:
        """Return the session that was, or is now, created under `key`. Raises what its creation raised."""
        digest = hashlib.sha256(key.encode()).digest()
        self._forget()
        if kept := self._outcomes.get(digest):
            return kept.get()
        creation = self._creations.get(digest) or self._start(digest)
        creation.waiting += 1
        try:
            await creation.done.wait()
        finally:
            creation.waiting -= 1
            if not creation.waiting and not creation.done.is_set():
                creation.scope.cancel(reason="nobody waits for it any more")
                self._drop(digest, creation)
        if creation.outcome is None:
            raise SupervisorStopped
        return creation.outcome.get()

    def _start(self, digest: bytes) -> _Creation:
        creation = _Creation()
        try:
            self.nursery.start_soon(self._run, digest, creation)
        except RuntimeError:  # the nursery is closed
            raise SupervisorStopped from None
        self._creations[digest] = creation
        return creation

    async def _run(self, digest: bytes, creation: _Creation) -> None:
        try:
            with creation.scope:
                session = await self.create()
                # Also if all have just left: one may come again.
                self._keep(digest, creation, session)
        except Exception as exc:
            error = contain(exc, _log, "a creation with a key failed")
            self._keep(digest, creation, _bare(error))
        finally:
            self._drop(digest, creation)
            creation.done.set()

    def _keep(self, digest: bytes, creation: _Creation, result: SessionInfo | GreenroomError) -> None:
        creation.outcome = _Outcome(result, trio.current_time())
        if not isinstance(result, _UNDONE):
            self._outcomes[digest] = creation.outcome

    def _drop(self, digest: bytes, creation: _Creation) -> None:
        if self._creations.get(digest) is creation:
            del self._creations[digest]

    def _forget(self) -> None:
        """Drop the outcomes that are old, and the oldest if there are too many."""
        oldest_kept = trio.current_time() - KEEP_S
        while self._outcomes:
            digest, kept = next(iter(self._outcomes.items()))
            if kept.at > oldest_kept and len(self._outcomes) <= KEEP:
                return
            del self._outcomes[digest]


def _bare(error: GreenroomError) -> GreenroomError:
    """Return a copy of `error` without traceback and causes, which keep alive all that it went through."""
    bare = type(error).__new__(type(error), *error.args)
    vars(bare).update(vars(error))
    return bare
