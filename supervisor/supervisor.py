"""The supervisor: who lives and who dies."""

import contextlib
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import TypeVar

import attrs
import outcome
import trio

from actors.admission import Admission
from actors.errors import (
    CapacityExhausted,
    CreationTimedOut,
    GreenroomError,
    InternalFailure,
    Overloaded,
    SessionNotFound,
    SupervisorStopped,
)
from actors.lifecycle import EndReason, SessionInfo
from actors.ports import Owned, World
from actors.session import Caller, Claim, End, SessionActor, SessionSpec
from actors.verdict.detector import LoginDetector
from supervisor.config import SupervisorConfig
from supervisor.events import EventStream, Subscriber
from supervisor.idempotency import KeyedCreations
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
from supervisor.warm import WarmShelf
from supervisor.world import open_world

# How long an ended session can still be asked about, and how many of them at most.
KEEP_ENDED_S = 15 * 60
KEEP_ENDED = 10_000

T = TypeVar("T")

# Made once: what stands in the brackets costs more to look up than the channel to open.
_open_for_session = trio.open_memory_channel[outcome.Maybe[SessionInfo]]
_open_for_end = trio.open_memory_channel[outcome.Maybe[None]]
_open_for_fitness = trio.open_memory_channel[bool]


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
        stack.enter_context(events.subscribed(registry.shelf.hear))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.run, inbox)
            try:
                yield Supervisor(
                    config=config,
                    events=events,
                    requests=requests,
                    drained=registry.drained,
                    stopped=registry.stopped,
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
    _drained: trio.Event
    _stopped: trio.Event
    _nursery: trio.Nursery
    _keyed: KeyedCreations = attrs.field(init=False)

    @_keyed.default
    def _make_keyed(self) -> KeyedCreations:
        return KeyedCreations(nursery=self._nursery, create=self._create_session)

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

        Raises `SessionNotFound`.
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


@attrs.define(eq=False, kw_only=True, repr=False)
class _Registry:
    """The supervisor's own task: answers requests, starts actors, remembers the ended.

    An actor is in `_actors` exactly as long as its task runs, the warm ones included. `_requested` counts
    the sessions that somebody asked for. The loop never waits for an actor.
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
    _requested: int = attrs.field(default=0, init=False)
    _one_less: trio.Event = attrs.field(factory=trio.Event, init=False)
    _admission: Admission = attrs.field(init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    shelf: WarmShelf = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._admission = Admission(self.config.max_launching)
        self.shelf = WarmShelf(size=self.config.warm_sessions, start=self._start, room=self._room)

    async def run(self, inbox: trio.MemoryReceiveChannel[Message]) -> None:
        """Serve until every requester is gone, then end all sessions and wait for them."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self.shelf.run)
            with inbox:
                async for message in inbox:
                    self._handle(message, self._nursery)
            self._draining = True
            self.shelf.running.cancel(reason="the supervisor stops")
            self._end_all(list(self._actors.values()), self._nursery)
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
                asked_for = [actor.info() for actor in self._actors.values() if actor.caller is not None]
                _answer(reply_to, outcome.Value(asked_for))
            case TakeCensus(reply_to=reply_to):
                _answer(reply_to, outcome.Value(Census(sessions=self._requested, warm=self.shelf.warm)))

    def _end_all(self, actors: list[SessionActor], nursery: trio.Nursery) -> None:
        for actor in actors:
            reply_to, _nobody_waits = _open_for_end(1)
            nursery.start_soon(_forward, End(reason=EndReason.SHUTDOWN, reply_to=reply_to), actor)

    async def _drain(self, grace_s: float, nursery: trio.Nursery) -> None:
        """End what is being created now, and what is live after the grace, if it has not ended by then."""
        self.shelf.running.cancel(reason="the supervisor drains")
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
        known = self._actors.keys() | owned.hosts
        leaked = Owned(
            processes=tuple(item for item in owned.processes if item.session not in known),
            directories=tuple(item for item in owned.directories if item.session not in known),
            entries=tuple(session for session in owned.entries if session not in known),
        )
        _answer(reply_to, outcome.Value(Holdings(owned=owned, leaked=leaked)))

    def _create(self, caller: Caller, nursery: trio.Nursery) -> None:
        """Serve a caller: with a warm session if there is one, else with a new one."""
        if self._requested >= self.config.max_sessions and not self._draining:
            _refuse(caller, self._capacity_exhausted())
            return
        self._requested += 1
        if (warm := self.shelf.take()) is not None:
            nursery.start_soon(self._hand_over, warm, caller, nursery)
        elif self._has_room or self._draining:
            self._create_cold(caller)
        else:
            nursery.start_soon(self._make_room, caller, nursery)

    async def _hand_over(self, warm: SessionActor | None, caller: Caller, nursery: trio.Nursery) -> None:
        """Give a caller a warm session, and a new one if none turns out to be fit."""
        while warm is not None:
            if await _claim(warm, caller):
                return
            warm = self.shelf.take()
        await self._make_room(caller, nursery)

    @property
    def _has_room(self) -> bool:
        """Whether one more session would not be too many, with those that are ending."""
        return len(self._actors) < self.config.max_sessions

    async def _make_room(self, caller: Caller, nursery: trio.Nursery) -> None:
        """Create a session when what was launched ahead, and stands in its way, is gone."""
        with trio.move_on_at(caller.deadline):
            while not (self._has_room or self._draining):
                if self.shelf.kept:
                    self._end_all([self.shelf.kept.pop()], nursery)
                await self._one_less.wait()
        self._create_cold(caller)

    def _create_cold(self, caller: Caller) -> None:
        error: GreenroomError | None = None
        if self._draining:
            error = SupervisorStopped()
        elif not self._has_room:
            error = CreationTimedOut(self.config.session_creation_timeout)
        elif (retry_after_s := self._admission.overload(caller.deadline)) is not None:
            error = Overloaded(retry_after_s=retry_after_s)
        if error is not None:
            self._requested -= 1
            self._tell_one_less()
            _refuse(caller, error)
        else:
            self._start(caller)

    def _start(self, caller: Caller | None = None) -> SessionActor:
        actor = SessionActor(
            spec=self._new_spec(),
            caller=caller,
            world=self.world,
            admission=self._admission,
            publish=self.events.publish,
        )
        self._actors[actor.spec.id] = actor
        if self._empty.is_set():
            self._empty = trio.Event()
        self._nursery.start_soon(self._run, actor)
        return actor

    def _tell_one_less(self) -> None:
        self._one_less.set()
        self._one_less = trio.Event()

    async def _room(self) -> None:
        """Return once another session may be launched ahead."""
        while self._requested + len(self.shelf.kept) >= self.config.max_sessions:
            await self._one_less.wait()

    def _new_spec(self) -> SessionSpec:
        return SessionSpec(
            id=str(uuid.uuid4()),
            url=self.config.tiktok_url,
            headless=self.config.headless,
            creation_timeout_s=self.config.session_creation_timeout,
            max_duration_s=self.config.max_session_duration,
            warm_max_age_s=self.config.warm_max_age,
            detector=LoginDetector(
                timeout_s=self.config.login_detection_timeout,
                retries=self.config.login_detection_retries,
                selectors=self.config.selectors,
            ),
            budget=self.config.session_budget,
        )

    async def _run(self, actor: SessionActor) -> None:
        try:
            await actor.run()
        finally:
            del self._actors[actor.spec.id]
            if actor.caller is not None:
                self._requested -= 1
            self._tell_one_less()
            if not self._actors:
                self._empty.set()
            self._remember(actor.info())

    def _capacity_exhausted(self) -> CapacityExhausted:
        now_live = [actor.latest_end for actor in self._actors.values() if actor.caller is not None]
        earliest = min(now_live, default=trio.current_time() + self.config.max_session_duration)
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


async def _claim(warm: SessionActor, caller: Caller) -> bool:
    """Offer a warm session a caller; return whether it has taken it."""
    reply_to, reply = _open_for_fitness(1)
    with reply:
        try:
            await warm.mailbox.send(Claim(caller=caller, reply_to=reply_to))
            await reply.receive()
        except (trio.BrokenResourceError, trio.EndOfChannel):
            return False
    return True


async def _forward(message: End, actor: SessionActor) -> None:
    try:
        await actor.mailbox.send(message)
    except trio.BrokenResourceError:  # it has just ended by itself
        _answer(message.reply_to, outcome.Value(None))


def _refuse(caller: Caller, error: GreenroomError) -> None:
    with caller.reply_to:
        _answer(caller.reply_to, outcome.Error(error))
