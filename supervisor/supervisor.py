"""The supervisor: who lives and who dies."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

import attrs
import outcome
import trio

from actors.commands import Caller
from actors.errors import GreenroomError, SupervisorStopped
from actors.lifecycle import SessionInfo
from actors.machine.ports import Machine
from supervisor.config import SupervisorConfig
from supervisor.events import EventStream, Subscriber
from supervisor.idempotency import KeyedCreations
from supervisor.machine import open_machine
from supervisor.messages import (
    Census,
    CreateSession,
    Drain,
    EndSession,
    FindLeaks,
    GetSession,
    Holdings,
    ListSessions,
    Message,
    TakeCensus,
)
from supervisor.registry import Registry
from supervisor.self_check import Check, SelfCheck, Subject

T = TypeVar("T")

# Made once: what stands in the brackets costs more to look up than the channel to open.
_open_for_session = trio.open_memory_channel[outcome.Maybe[SessionInfo]]
_open_for_end = trio.open_memory_channel[outcome.Maybe[None]]


@contextlib.asynccontextmanager
async def open_supervisor(
    config: SupervisorConfig, *, machine: Machine | None = None, subscriber: Subscriber | None = None
) -> AsyncIterator["Supervisor"]:
    """Run a supervisor for the length of the block, in a nursery of its own.

    Leaving the block, or cancelling it, ends every session and returns when all of them are gone. `machine`
    replaces this machine; `subscriber` hears every event, the last ones included.
    Raises what `open_machine` does, on entering, where no session could ever run.
    """
    events = EventStream()
    async with contextlib.AsyncExitStack() as stack:
        if subscriber is not None:
            stack.enter_context(events.subscribed(subscriber))
        if machine is None:
            machine = await stack.enter_async_context(open_machine(config))
        requests, inbox = trio.open_memory_channel[Message](0)
        registry = Registry(config=config, machine=machine, events=events)
        stack.enter_context(events.subscribed(registry.hear))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.run, inbox)
            try:
                yield Supervisor(
                    config=config,
                    events=events,
                    requests=requests,
                    stopped=registry.stopped,
                    self_check=registry.self_check,
                    nursery=nursery,
                )
            finally:
                requests.close()  # the registry takes this as the sign to end all sessions


@attrs.frozen(kw_only=True, repr=False)
class Supervisor:
    """The way to a running supervisor. Every method raises `SupervisorStopped` once it is stopping."""

    config: SupervisorConfig
    events: EventStream
    _requests: trio.MemorySendChannel[Message]
    _stopped: trio.Event
    _self_check: SelfCheck
    _nursery: trio.Nursery
    _keyed: KeyedCreations = attrs.field(init=False)

    @_keyed.default
    def _make_keyed(self) -> KeyedCreations:
        return KeyedCreations(nursery=self._nursery, create=self._create_session)

    @property
    def checks(self) -> Mapping[Subject, Check]:
        """What is known of that without which no session goes live."""
        return self._self_check.checks

    async def create_session(self, idempotency_key: str | None = None) -> SessionInfo:
        """Create a session and return it once it is live; it then ends by itself, or by `end_session`.

        Cancelling this cancels the creation. Raises `CapacityExhausted`, `Overloaded`, `NotLoggedIn`,
        `ProfileLocked`, `CreationTimedOut`, `UpstreamUnreachable`, or another `GreenroomError`, with nothing
        left behind. With an idempotency key, whoever comes with the same one within 15 minutes gets the same
        outcome, and there is one session; its creation is cancelled when all who wait for it are.
        """
        if idempotency_key is None:
            return await self._create_session()
        return await self._keyed.get(idempotency_key)

    async def _create_session(self) -> SessionInfo:
        reply_to, reply = _open_for_session(1)
        deadline = trio.current_time() + self.config.session_creation_timeout
        caller = Caller(reply_to=reply_to, deadline=deadline)
        try:
            return await self._ask(CreateSession(caller=caller), reply)
        except GreenroomError:  # the answer
            raise
        except BaseException:
            caller.leave()
            raise

    async def end_session(self, session_id: str) -> None:
        """End a session and return when its browser and clone are gone; one that has ended already is fine.

        Raises `SessionNotFound`, or `CleanupIncomplete` where something of it could not be removed.
        """
        reply_to, reply = _open_for_end(1)
        await self._ask(EndSession(session_id=session_id, reply_to=reply_to), reply)

    async def get_session(self, session_id: str) -> SessionInfo:
        """Return a session as it is, or as it ended within the last 15 minutes. Raises `SessionNotFound`."""
        reply_to, reply = _open_for_session(1)
        return await self._ask(GetSession(session_id=session_id, reply_to=reply_to), reply)

    async def list_sessions(self) -> list[SessionInfo]:
        """Return the sessions that were asked for and have not ended, oldest first."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[list[SessionInfo]]](1)
        return await self._ask(ListSessions(reply_to=reply_to), reply)

    async def take_census(self) -> Census:
        """Return how many sessions there are."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Census]](1)
        return await self._ask(TakeCensus(reply_to=reply_to), reply)

    async def find_leaks(self) -> Holdings:
        """Survey what the supervisor owns on this machine, and what of it belongs to no session."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Holdings]](1)
        return await self._ask(FindLeaks(reply_to=reply_to), reply)

    async def drain(self, grace_s: float) -> None:
        """Take no more sessions, give up those being created, and let the live ones go on for `grace_s`.

        Returns when none is left. Cancelling this ends the rest at once, when `stop` is called.
        """
        reply_to, reply = _open_for_end(1)
        with contextlib.suppress(SupervisorStopped):
            await self._ask(Drain(grace_s=grace_s, reply_to=reply_to), reply)

    async def stop(self) -> None:
        """End all sessions, creations under way included, and return when they are gone."""
        self._requests.close()
        await self._stopped.wait()

    async def _ask(self, request: Message, reply: trio.MemoryReceiveChannel[outcome.Maybe[T]]) -> T:
        with reply:
            try:
                await self._requests.send(request)
                answer = await reply.receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
                raise SupervisorStopped from None
        return answer.unwrap()
