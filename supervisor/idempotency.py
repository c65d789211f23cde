"""Creations with a key: however often one is asked for, it happens once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import attrs
import trio

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


@attrs.define(eq=False)
class _Creation:
    """One creation: how many wait for it, and its outcome, one of the two, once it is done."""

    done: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    waiting: int = 0
    session: SessionInfo | None = None
    error: GreenroomError | None = None
    done_at: float = 0


@attrs.define(eq=False, kw_only=True, repr=False)
class KeyedCreations:
    """Answers every request with the same key with the outcome of the first, for 15 minutes.

    A creation goes on as long as anybody waits for it. `create` makes a session; creations run in `nursery`.
    """

    nursery: trio.Nursery
    create: Callable[[], Awaitable[SessionInfo]]
    _creations: OrderedDict[str, _Creation] = attrs.field(factory=OrderedDict, init=False)

    async def get(self, key: str) -> SessionInfo:
        """Return the session that was, or is now, created under `key`. Raises what its creation raised."""
        self._forget()
        creation = self._creations.get(key)
        if creation is None:
            creation = self._start(key)
        creation.waiting += 1
        try:
            await creation.done.wait()
        finally:
            creation.waiting -= 1
            if not creation.waiting and not creation.done.is_set():
                creation.scope.cancel(reason="nobody waits for it any more")
                self._drop(key, creation)
        if creation.session is None:
            # Without what it went through the last time, which would grow with each.
            raise creation.error.with_traceback(None) if creation.error else SupervisorStopped()
        return creation.session

    def _start(self, key: str) -> _Creation:
        creation = _Creation()
        try:
            self.nursery.start_soon(self._run, key, creation)
        except RuntimeError:  # the nursery is closed
            raise SupervisorStopped from None
        self._creations[key] = creation
        return creation

    async def _run(self, key: str, creation: _Creation) -> None:
        try:
            with creation.scope:
                creation.session = await self.create()
                self._creations.setdefault(key, creation)  # if all have just left: one may come again
        except GreenroomError as exc:
            creation.error = exc
            if isinstance(exc, _UNDONE):
                self._drop(key, creation)
        finally:
            creation.done_at = trio.current_time()
            creation.done.set()

    def _drop(self, key: str, creation: _Creation) -> None:
        if self._creations.get(key) is creation:
            del self._creations[key]

    def _forget(self) -> None:
        """Drop what was done long ago, from the oldest on, and what is too much."""
        oldest_kept = trio.current_time() - KEEP_S
        while self._creations:
            key, creation = next(iter(self._creations.items()))
            if not creation.done.is_set() or (
                creation.done_at > oldest_kept and len(self._creations) <= KEEP
            ):
                return
            del self._creations[key]
