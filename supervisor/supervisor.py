"""The supervisor: who lives and who dies."""

import contextlib
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import TypeVar

import attrs
import outcome
import trio

from actors.errors import (
    CapacityExhausted,
    GreenroomError,
    InternalFailure,
    SessionNotFound,
    SupervisorStopped,
)
from actors.lifecycle import EndReason, SessionInfo
from actors.ports import Owned, World
from actors.resources import Budget
from actors.session import Caller, End, SessionActor, SessionSpec
from actors.verdict import LoginDetector
from supervisor.config import SupervisorConfig
from supervisor.events import EventStream, Subscriber
from supervisor.messages import (
    CreateSession,
    Drain,
    EndSession,
    FindLeaks,
    GetSession,
    Holdings,
    ListSessions,
    Message,
)
from supervisor.world import open_world

# How long an ended session can still be asked about, and how many of them at most.
KEEP_ENDED_S = 15 * 60
KEEP_ENDED = 10_000

T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_supervisor(
    config: SupervisorConfig, *, world: World | None = None, subscriber: Subscriber | None = None
) -> AsyncIterator["Supervisor"]:
    """Run a supervisor for the length of the block, in a nursery of its own.

    Leaving the block, or cancelling it, ends every session and returns when all of them are gone. `world`
    replaces the real profiles and browsers; `subscriber` hears every event, the last ones included.
    Raises what `open_world` does, on entering, where no session could ever run.
    """
    events = EventStream()
    async with contextlib.AsyncExitStack() as stack:
        if subscriber is not None:
            stack.enter_context(events.subscribed(subscriber))
        if world is None:
            world = await stack.enter_async_context(open_world(config))
        requests, inbox = trio.open_memory_channel[Message](0)
        registry = _Registry(config=config, world=world, events=events)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.run, inbox)
            try:
                yield Supervisor(
                    config=config,
                    events=events,
                    requests=requests,
                    drained=registry.drained,
                    stopped=registry.stopped,
                )
            finally:
                requests.close()  # the registry takes this as the sign to end all sessions


@attrs.frozen(kw_only=True)
class Supervisor:
    """The way to a running supervisor. Every method raises `SupervisorStopped` once it is stopping."""

    config: SupervisorConfig
    events: EventStream
    _requests: trio.MemorySendChannel[Message]
    _drained: trio.Event
    _stopped: trio.Event

    async def create_session(self) -> SessionInfo:
        """Create a session and return it once it is live; it then ends by itself, or by `end_session`.

        Cancelling this cancels the creation. Raises `CapacityExhausted`, `NotLoggedIn`, `ProfileLocked`,
        `CreationTimedOut`, `UpstreamUnreachable`, or another `GreenroomError`, with nothing left behind.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](0)
        caller = Caller(reply_to=reply_to, left=trio.Event())
        try:
            return await self._ask(CreateSession(caller=caller), reply)
        except trio.Cancelled:
            caller.left.set()
            raise

    async def end_session(self, session_id: str) -> None:
        """End a session and return when its browser and clone are gone; one that has ended already is fine.

        Raises `SessionNotFound`.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[None]](1)
        await self._ask(EndSession(session_id=session_id, reply_to=reply_to), reply)

    async def get_session(self, session_id: str) -> SessionInfo:
        """Return a session as it is, or as it ended within the last 15 minutes. Raises `SessionNotFound`."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionInfo]](1)
        return await self._ask(GetSession(session_id=session_id, reply_to=reply_to), reply)

    async def list_sessions(self) -> list[SessionInfo]:
        """Return the sessions that have not ended, oldest first."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[list[SessionInfo]]](1)
        return await self._ask(ListSessions(reply_to=reply_to), reply)

    async def find_leaks(self) -> Holdings:
        """Survey what the supervisor owns on this machine, and what of it belongs to no session."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Holdings]](1)
        return await self._ask(FindLeaks(reply_to=reply_to), reply)

    async def drain(self, grace_s: float) -> None:
        """Take no more sessions, give up those being created, and let the live ones go on for `grace_s`.

        Returns when none is left. Cancelling this ends the rest at once, when `stop` is called.
        """
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            await self._requests.send(Drain(grace_s=grace_s))
            await self._drained.wait()

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


def _set_event() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@attrs.define(eq=False, kw_only=True)
class _Registry:
    """The supervisor's own task: answers requests, starts actors, remembers the ended.

    An actor is in `_actors` exactly as long as its task runs. The loop never waits for an actor.
    """

    config: SupervisorConfig
    world: World
    events: EventStream
    drained: trio.Event = attrs.field(factory=trio.Event, init=False)
    stopped: trio.Event = attrs.field(factory=trio.Event, init=False)
    _empty: trio.Event = attrs.field(factory=_set_event, init=False)
    _draining: bool = attrs.field(default=False, init=False)
    _actors: dict[str, SessionActor] = attrs.field(factory=dict, init=False)
    _ended: OrderedDict[str, tuple[float, SessionInfo]] = attrs.field(factory=OrderedDict, init=False)

    async def run(self, inbox: trio.MemoryReceiveChannel[Message]) -> None:
        """Serve until every requester is gone, then end all sessions and wait for them."""
        async with trio.open_nursery() as nursery:
            with inbox:
                async for message in inbox:
                    self._handle(message, nursery)
            self._end_all(list(self._actors.values()), nursery)
        self.stopped.set()

    def _handle(self, message: Message, nursery: trio.Nursery) -> None:
        match message:
            case CreateSession(caller=caller):
                self._create(caller, nursery)
            case EndSession(session_id=session_id, reply_to=reply_to):
                if session_id in self._actors:
                    end = End(reason=EndReason.DELETED, reply_to=reply_to)
                    nursery.start_soon(_forward, end, self._actors[session_id])
                else:
                    _answer(reply_to, outcome.capture(self._confirm_ended, session_id))
            case FindLeaks(reply_to=reply_to):
                nursery.start_soon(self._find_leaks, reply_to)
            case Drain(grace_s=grace_s):
                if not self._draining:
                    self._draining = True
                    nursery.start_soon(self._drain, grace_s, nursery)
            case GetSession(session_id=session_id, reply_to=reply_to):
                _answer(reply_to, outcome.capture(self._find, session_id))
            case ListSessions(reply_to=reply_to):
                _answer(reply_to, outcome.Value([actor.info() for actor in self._actors.values()]))

    def _end_all(self, actors: list[SessionActor], nursery: trio.Nursery) -> None:
        for actor in actors:
            reply_to, _nobody_waits = trio.open_memory_channel[outcome.Maybe[None]](1)
            nursery.start_soon(_forward, End(reason=EndReason.SHUTDOWN, reply_to=reply_to), actor)

    async def _drain(self, grace_s: float, nursery: trio.Nursery) -> None:
        """End what is being created now, and what is live after the grace, if it has not ended by then."""
        self._end_all([actor for actor in self._actors.values() if not actor.is_live], nursery)
        with trio.move_on_after(grace_s):
            await self._empty.wait()
        self._end_all(list(self._actors.values()), nursery)
        await self._empty.wait()
        self.drained.set()

    async def _find_leaks(self, reply_to: trio.MemorySendChannel[outcome.Maybe[Holdings]]) -> None:
        try:
            owned = await self.world.estate.survey()
        except Exception as exc:  # such as no file descriptor left: no reason to end all sessions
            _answer(reply_to, outcome.Error(InternalFailure(exc)))
            return
        known = self._actors.keys()
        leaked = Owned(
            processes=tuple(item for item in owned.processes if item.session not in known),
            directories=tuple(item for item in owned.directories if item.session not in known),
            entries=tuple(session for session in owned.entries if session not in known),
        )
        _answer(reply_to, outcome.Value(Holdings(owned=owned, leaked=leaked)))

    def _create(self, caller: Caller, nursery: trio.Nursery) -> None:
        if self._draining:
            nursery.start_soon(_refuse, caller, SupervisorStopped())
            return
        if len(self._actors) >= self.config.max_sessions:
            nursery.start_soon(_refuse, caller, self._capacity_exhausted())
            return
        spec = SessionSpec(
            id=str(uuid.uuid4()),
            url=self.config.tiktok_url,
            headless=self.config.headless,
            creation_timeout_s=self.config.session_creation_timeout,
            max_duration_s=self.config.max_session_duration,
            detector=LoginDetector(
                timeout_s=self.config.login_detection_timeout,
                retries=self.config.login_detection_retries,
                selectors=self.config.selectors,
            ),
            budget=Budget(
                memory_bytes=self.config.session_memory_mb << 20,
                processes=self.config.session_processes,
                disk_bytes=self.config.session_disk_mb << 20,
            ),
        )
        actor = SessionActor(spec=spec, caller=caller, world=self.world, publish=self.events.publish)
        self._actors[spec.id] = actor
        if self._empty.is_set():
            self._empty = trio.Event()
        nursery.start_soon(self._run, actor)

    async def _run(self, actor: SessionActor) -> None:
        try:
            await actor.run()
        finally:
            del self._actors[actor.spec.id]
            if not self._actors:
                self._empty.set()
            self._remember(actor.info())

    def _capacity_exhausted(self) -> CapacityExhausted:
        earliest = min(actor.latest_end for actor in self._actors.values())
        return CapacityExhausted(
            self.config.max_sessions, retry_after_s=max(0.0, earliest - trio.current_time())
        )

    def _find(self, session_id: str) -> SessionInfo:
        self._forget()
        if session_id in self._actors:
            return self._actors[session_id].info()
        if session_id in self._ended:
            return self._ended[session_id][1]
        raise SessionNotFound(session_id)

    def _confirm_ended(self, session_id: str) -> None:
        self._find(session_id)

    def _remember(self, info: SessionInfo) -> None:
        self._ended[info.id] = (trio.current_time(), info)
        self._forget()

    def _forget(self) -> None:
        oldest_kept = trio.current_time() - KEEP_ENDED_S
        while self._ended:
            session_id, (ended_at, _info) = next(iter(self._ended.items()))
            if ended_at > oldest_kept and len(self._ended) <= KEEP_ENDED:
                return
            del self._ended[session_id]


def _answer(reply_to: trio.MemorySendChannel[outcome.Maybe[T]], answer: outcome.Maybe[T]) -> None:
    with contextlib.suppress(trio.BrokenResourceError):  # the asker has left
        reply_to.send_nowait(answer)


async def _forward(message: End, actor: SessionActor) -> None:
    try:
        await actor.mailbox.send(message)
    except trio.BrokenResourceError:  # it has just ended by itself
        _answer(message.reply_to, outcome.Value(None))


async def _refuse(caller: Caller, error: GreenroomError) -> None:
    with caller.reply_to, contextlib.suppress(trio.BrokenResourceError):
        await caller.reply_to.send(outcome.Error(error))
