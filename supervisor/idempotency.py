"""Keyed creations: repeated requests with one key create one session."""

import hashlib
from collections.abc import Callable

import attrs
import outcome
import structlog
import trio

from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import (
    CapacityExhausted,
    GreenroomError,
    Overloaded,
    ResourcesExhausted,
    SupervisorStopped,
    TooManySessions,
)
from greenroom.actors.lifecycle import SessionInfo
from greenroom.actors.session.mailbox import Caller
from greenroom.actors.session.order import DEFAULT_ORDER, Order
from greenroom.supervisor.messages import CreateSession, Message
from greenroom.supervisor.remembered import Remembered

# In these cases nothing was done, so a retry is served anew.
_UNDONE = (CapacityExhausted, Overloaded, ResourcesExhausted, SupervisorStopped, TooManySessions)

# Made once: subscripting the generic is slower than opening the channel.
_open_for_session = trio.open_memory_channel[outcome.Maybe[SessionInfo]]

_log = structlog.get_logger("greenroom.supervisor")

_Result = SessionInfo | GreenroomError


@attrs.define(eq=False, kw_only=True, repr=False)
class Creation:
    """One request for a session. Several tasks may wait for it in turn, one taking over from another.

    `timeout_s` counts from now. If nobody takes the result, call `leave`, or the session would have no owner.
    """

    _requests: trio.MemorySendChannel[Message]
    timeout_s: float
    order: Order = DEFAULT_ORDER
    _caller: Caller = attrs.field(init=False)
    _reply: trio.MemoryReceiveChannel[outcome.Maybe[SessionInfo]] = attrs.field(init=False)
    _is_asked: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        reply_to, reply = _open_for_session(1)
        self._reply = reply
        deadline = trio.current_time() + self.timeout_s
        self._caller = Caller(reply_to=reply_to, deadline=deadline, order=self.order)

    async def result(self) -> SessionInfo:
        """Return the session once it is live.

        Cancelling this doesn't cancel the creation: call it again, in any task, to go on waiting. The result
        is returned only once. Raises what the creation raised, or `SupervisorStopped`.
        """
        try:
            if not self._is_asked:
                await self._requests.send(CreateSession(caller=self._caller))
                self._is_asked = True
            answer = await self._reply.receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
            raise SupervisorStopped from None
        self._reply.close()
        return answer.unwrap()

    def result_nowait(self) -> SessionInfo:
        """Return the session if it is live. Raises like `result`, or `trio.WouldBlock`."""
        try:
            return self._reply.receive_nowait().unwrap()
        except trio.EndOfChannel:
            raise SupervisorStopped from None

    def leave(self) -> None:
        """Cancel the creation, because nobody waits for it any more."""
        self._reply.close()
        self._caller.leave()


@attrs.define(eq=False)
class _Shared:
    """A creation and how many callers wait for it. The holder of `turn` gets the result for all of them."""

    creation: Creation
    waiting: int = 0
    turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    result: _Result | None = None


@attrs.define(eq=False, kw_only=True, repr=False)
class KeyedCreations:
    """Answers requests with the same key, profile, mode and purpose with the outcome of the first.

    For 15 minutes. Whatever else the first asked for counts for all.

    A creation goes on as long as anybody waits for it. `begin` starts one.
    """

    begin: Callable[[Order], Creation]
    _shared: dict[bytes, _Shared] = attrs.field(factory=dict, init=False)
    _results: Remembered[bytes, _Result] = attrs.field(factory=Remembered, init=False)

    async def get(self, key: str, order: Order = DEFAULT_ORDER) -> SessionInfo:
        """Return the session created under `key`, now or earlier. Raises what its creation raised."""
        use = order.profile
        digest = hashlib.sha256(f"{use.name} {use.mode.value} {order.purpose.value} {key}".encode()).digest()
        if (kept := self._results.get(digest)) is not None:
            return _unwrap(kept)
        shared = self._shared.get(digest)
        if shared is None:
            shared = self._shared[digest] = _Shared(self.begin(order))
        shared.waiting += 1
        try:
            async with shared.turn:
                result = shared.result or await self._wait(digest, shared)
        finally:
            shared.waiting -= 1
            if not shared.waiting and shared.result is None:
                self._leave(digest, shared)
        return _unwrap(result)

    async def _wait(self, digest: bytes, shared: _Shared) -> _Result:
        """Wait for the result and keep it."""
        try:
            return self._keep(digest, shared, await shared.creation.result())
        except Exception as exc:
            return self._keep(digest, shared, contain(exc, _log, "a creation with a key failed"))

    def _leave(self, digest: bytes, shared: _Shared) -> None:
        """Cancel a creation that nobody waits for; if it has just succeeded, keep the session for a retry."""
        try:
            self._keep(digest, shared, shared.creation.result_nowait())
        except trio.WouldBlock:
            shared.creation.leave()
            del self._shared[digest]
        except GreenroomError as error:
            self._keep(digest, shared, error)

    def _keep(self, digest: bytes, shared: _Shared, result: _Result) -> _Result:
        """Keep the bare result, without its traceback: there may be thousands."""
        shared.result = _bare(result) if isinstance(result, GreenroomError) else result
        if not isinstance(result, _UNDONE):
            self._results.put(digest, shared.result)
        del self._shared[digest]
        return shared.result


def _unwrap(result: _Result) -> SessionInfo:
    if isinstance(result, GreenroomError):
        raise _bare(result)
    return result


def _bare(error: GreenroomError) -> GreenroomError:
    """Return a copy of `error` without traceback and causes, which would keep many objects alive."""
    bare = type(error).__new__(type(error), *error.args)
    vars(bare).update(vars(error))
    return bare
