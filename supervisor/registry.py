"""The supervisor's own task: who lives and who dies."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterable

import attrs
import outcome
import structlog
import trio

from greenroom.actors.admission import Admission
from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import (
    CapacityExhausted,
    CreationTimedOut,
    GreenroomError,
    Overloaded,
    ProfileNotFound,
    SessionNotFound,
    SupervisorStopped,
    TooManySessions,
)
from greenroom.actors.events import EventKind, SessionEvent
from greenroom.actors.lifecycle import EndReason, ProfileMode, ProfileUse, Purpose, SessionInfo, SessionState
from greenroom.actors.machine.ports import Machine, Owned
from greenroom.actors.recorder.pace import Pace
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.mailbox import Caller, Claim, SessionHandle
from greenroom.actors.session.order import Maker, Order
from greenroom.supervisor.answering import answer, answering
from greenroom.supervisor.config import SupervisorConfig
from greenroom.supervisor.demand import Demand
from greenroom.supervisor.events import EventStream
from greenroom.supervisor.messages import (
    CountSessions,
    CreateSession,
    Drain,
    FindLeaks,
    Holdings,
    ListSessions,
    Message,
    Overview,
    SessionCount,
)
from greenroom.supervisor.pressure import Pressure
from greenroom.supervisor.remembered import Remembered
from greenroom.supervisor.self_check import PERIOD_S, SelfCheck
from greenroom.supervisor.specs import new_spec
from greenroom.supervisor.warm import WarmSessions

# Made once: subscripting the generic is slower than opening the channel.
_open_for_fitness = trio.open_memory_channel[bool]

# How many of those that have ended an overview has.
_SHOWN = 50

_log = structlog.get_logger("greenroom.supervisor")


def _set_event() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@attrs.define(eq=False, kw_only=True, repr=False)
class Registry:
    """Answers requests, starts actors, remembers the ended. Its loop never waits for an actor.

    Only what concerns several sessions goes through the loop; one session is reached by its handle.
    An actor is in `_actors` exactly as long as its task runs, the warm ones included; a caller is in
    `_waiting` while it is offered warm sessions or waits for room. Each request, and each child, is a
    bulkhead: what it raises is answered there and ends nothing else.
    """

    config: SupervisorConfig
    machine: Machine
    events: EventStream
    stopped: trio.Event = attrs.field(factory=trio.Event, init=False)
    _empty: trio.Event = attrs.field(factory=_set_event, init=False)
    _draining: bool = attrs.field(default=False, init=False)
    _actors: dict[str, SessionActor] = attrs.field(factory=dict, init=False)
    _ended: Remembered[str, SessionInfo] = attrs.field(factory=Remembered, init=False)
    _waiting: set[Caller] = attrs.field(factory=set, init=False)
    _change: trio.Event = attrs.field(factory=trio.Event, init=False)
    _admission: Admission = attrs.field(init=False)
    _pace: Pace = attrs.field(factory=Pace, init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _warm: WarmSessions = attrs.field(init=False)
    _demand: Demand = attrs.field(factory=Demand, init=False)
    _standing: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    self_check: SelfCheck = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._admission = Admission(self.config.max_launching)
        self._warm = WarmSessions(size=self.config.warm_sessions, start=self._start_warm, room=self._room)
        self.self_check = SelfCheck(machine=self.machine, on_turn=self._tell_change)

    async def run(self, inbox: trio.MemoryReceiveChannel[Message]) -> None:
        """Serve until every requester is gone, then end all sessions and wait for them."""
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._warm.run)
                self._nursery.start_soon(self._keep_checking)
                with inbox:
                    async for message in inbox:
                        with answering(message.reply_to, type(message).__name__):
                            self._handle(message)
                self._draining = True
                self._warm.running.cancel(reason="the supervisor stops")
                self._standing.cancel(reason="the supervisor stops")
                self._end_all(list(self._actors.values()))
        finally:
            self.stopped.set()
            self.events.close()

    def session(self, session_id: str) -> SessionHandle:
        """Return the handle of a session that is, or was lately. Raises `SessionNotFound`."""
        if (actor := self._actors.get(session_id)) is not None:
            return actor.handle
        if (info := self._ended.get(session_id)) is not None:
            return SessionHandle.of_ended(info)
        raise SessionNotFound(session_id)

    def is_used(self, profile: str) -> bool:
        """Whether somebody has asked for a session of a profile that has not ended."""
        actors = [*self._actors.values()]
        asked = [actor.caller.order for actor in actors if actor.caller is not None]
        return any(order.profile.name == profile for order in asked + [one.order for one in self._waiting])

    def hear(self, event: SessionEvent) -> None:
        """Learn which states sessions enter. Subscribe it to the supervisor's events."""
        if event.kind is not EventKind.STATE:
            return
        self.self_check.hear(event)
        session = event.session
        if session.state is SessionState.LIVE:
            self._warm.hear_of_live()
            if session.purpose is Purpose.SESSION and session.profile.mode is ProfileMode.READ:
                self._demand.note(session.profile.name)
                self._discard_unwanted()
                self._tell_change()
        if isinstance(event.error, ProfileNotFound):
            self._demand.forget(session.profile.name)
        self._discard_logged_out()

    async def _keep_checking(self) -> None:
        with self._standing:
            while True:
                try:
                    await self.self_check.run()
                except Exception as exc:
                    contain(exc, _log, "the self-check failed")
                    await trio.sleep(PERIOD_S)

    def _handle(self, message: Message) -> None:
        """Answer a message, or start a task that will. An exception it raises is the answer."""
        match message:
            case CreateSession(caller=caller):
                self._create(caller)
            case FindLeaks(reply_to=reply_to):
                self._nursery.start_soon(self._find_leaks, reply_to)
            case Drain(grace_s=grace_s, reply_to=reply_to):
                self._draining = True
                self._tell_change()
                self._nursery.start_soon(self._drain, grace_s, reply_to)
            case ListSessions(reply_to=reply_to):
                asked_for = [actor.info() for actor in self._actors.values() if actor.caller is not None]
                answer(reply_to, outcome.Value(asked_for))
            case CountSessions(reply_to=reply_to):
                answer(reply_to, outcome.Value(SessionCount(sessions=self._requested, warm=self._warm.count)))

    # Sessions that somebody asks for

    @property
    def _requested(self) -> int:
        """How many sessions somebody has asked for, those not begun yet included."""
        served = {actor.caller for actor in self._actors.values() if actor.caller is not None}
        return len(self._waiting | served)

    def _is_full(self, kept: int = 0) -> bool:
        """Whether requested and `kept` sessions are as many as there may be.

        They are counted only if it may be so: with thousands of sessions, counting takes longer than the
        creation of one.
        """
        most = self.config.max_sessions
        return len(self._waiting) + len(self._actors) >= most and self._requested + kept >= most

    @property
    def _has_room(self) -> bool:
        """Whether there is room for another session, counting those that are ending."""
        return len(self._actors) < self.config.max_sessions

    def _create(self, caller: Caller) -> None:
        """Serve a caller: with a warm session if there is one, else with a new one."""
        if (maker := caller.order.maker) is not None:
            self._check_share(maker)
        if self._is_full() and not self._draining:
            raise self._capacity_exhausted()
        # A warm session has only read the profile.
        profile = caller.order.profile
        warm = self._warm.take(profile.name) if profile.mode is ProfileMode.READ else None
        if warm is None and (self._has_room or self._draining):
            self._create_cold(caller)
        else:
            self._waiting.add(caller)
            self._nursery.start_soon(self._serve, caller, warm)

    async def _serve(self, caller: Caller, warm: SessionActor | None) -> None:
        """Give a caller a warm session, or a new one if none is healthy."""
        try:
            with answering(caller.reply_to, "CreateSession"):
                if not await self._hand_over(warm, caller):
                    await self._make_room(caller)
                    self._create_cold(caller)
        finally:
            self._waiting.remove(caller)
            self._tell_change()

    async def _hand_over(self, warm: SessionActor | None, caller: Caller) -> bool:
        """Offer a caller the warm session, then others; return whether it has one."""
        while warm is not None:
            try:
                if await _claim(warm, caller):
                    return True
            finally:
                self._warm.put_back(warm)
            warm = None if caller.has_left else self._warm.take(caller.order.profile.name)
        return False

    async def _make_room(self, caller: Caller) -> None:
        """Return once the warm sessions that take a caller's slot have ended, or nobody waits."""
        in_the_way: SessionActor | None = None
        with trio.CancelScope(deadline=caller.deadline) as waiting:
            caller.when_left(lambda: waiting.cancel(reason="the caller has left"))
            while not (self._has_room or self._draining or caller.has_left):
                is_ending = in_the_way is not None and in_the_way.spec.id in self._actors
                if self._warm.kept and not is_ending:
                    in_the_way = self._warm.kept.pop()
                    self._end_all([in_the_way])
                await self._change.wait()

    def _create_cold(self, caller: Caller) -> None:
        if caller.has_left:
            return
        if self._draining:
            raise SupervisorStopped
        if not self._has_room:
            error = CreationTimedOut(self.config.session_creation_timeout)
            error.phase = SessionState.QUEUED.value
            raise error
        if (overloaded := self._overload(caller.deadline)) is not None:
            raise overloaded
        self._start(caller.order, caller)

    def _overload(self, deadline: float) -> Overloaded | None:
        retry_after_s = self._admission.overload(deadline)
        return None if retry_after_s is None else Overloaded(retry_after_s=retry_after_s)

    def _capacity_exhausted(self) -> CapacityExhausted:
        return CapacityExhausted(self.config.max_sessions, retry_after_s=self._next_free_s)

    def _check_share(self, maker: Maker) -> None:
        """Raise `TooManySessions` if a maker has all that they may have, counting those not quite ended."""
        if maker.max_sessions is None:
            return

        def is_theirs(caller: Caller | None) -> bool:
            return caller is not None and (made := caller.order.maker) is not None and made.name == maker.name

        theirs = [actor for actor in self._actors.values() if is_theirs(actor.caller)]
        served = {actor.caller for actor in theirs}
        waiting = sum(is_theirs(caller) for caller in self._waiting - served)
        if len(theirs) + waiting >= maker.max_sessions:
            retry_after_s = self._first_end_s(theirs)
            raise TooManySessions(maker.name, maker.max_sessions, retry_after_s=retry_after_s)

    @property
    def _next_free_s(self) -> float:
        """After how many seconds one of the sessions that were asked for must have ended."""
        return self._first_end_s(actor for actor in self._actors.values() if actor.caller is not None)

    def _first_end_s(self, actors: Iterable[SessionActor]) -> float:
        """Return after how many seconds the first of some sessions must have ended."""
        now = trio.current_time()
        ends = [actor.latest_end for actor in actors]
        return max(0.0, min(ends, default=now + self.config.max_session_duration) - now)

    def refusal(self, profile: str) -> GreenroomError | None:
        """Return what a request for a session of a profile would be refused with now, if it would.

        Only as far as the number of sessions decides: see `Supervisor.check_ready`.
        """
        if self._draining:
            return SupervisorStopped()
        if self._is_full():
            return self._capacity_exhausted()
        if self.has_warm(profile):
            return None
        return self._overload(trio.current_time() + self.config.session_creation_timeout)

    def has_warm(self, profile: str) -> bool:
        """Return whether a warm session of a profile waits for a request."""
        return self._warm.has(profile)

    # Sessions as children

    def _start_warm(self, profile: str) -> SessionActor:
        return self._start(Order(profile=ProfileUse(name=profile)), None)

    def _start(self, order: Order, caller: Caller | None) -> SessionActor:
        actor = SessionActor(
            spec=new_spec(self.config, order),
            caller=caller,
            machine=self.machine,
            admission=self._admission,
            publish=self.events.publish,
            pace=self._pace,
        )
        self._nursery.start_soon(self._run, actor)
        self._actors[actor.spec.id] = actor
        if self._empty.is_set():
            self._empty = trio.Event()
        return actor

    async def _run(self, actor: SessionActor) -> None:
        try:
            await actor.run()
        except* Exception as group:
            contain(group, _log, "a session's task failed", session_id=actor.spec.id)
            actor.give_up(group)
        finally:
            del self._actors[actor.spec.id]
            self._ended.put(actor.spec.id, actor.info())
            if not self._actors:
                self._empty.set()
            self._tell_change()

    def _tell_change(self) -> None:
        """Wake the tasks that wait for room or for a login."""
        self._change.set()
        self._change = trio.Event()

    async def _room(self) -> str:
        """Return once another session may be launched ahead, with the profile that it should be of."""
        while True:
            if self._has_room and not self._is_full(len(self._warm.kept)):
                profile = self._demand.most_wanted(self._warm.size, self._kept(), self._is_logged_in)
                if profile is not None:
                    return profile
            await self._change.wait()

    def _kept(self) -> Counter[str]:
        """Return how many sessions are kept warm, or are on the way there, of each profile."""
        return Counter(actor.spec.profile.name for actor in self._warm.kept if actor.reason is None)

    def _is_logged_in(self, profile: str) -> bool:
        return profile not in self.self_check.logged_out

    def _discard_logged_out(self) -> None:
        """End the warm sessions whose login no longer works."""
        if logged_out := self.self_check.logged_out:
            infos = {actor: actor.info() for actor in self._warm.kept if actor.reason is None}
            useless = [
                actor
                for actor, info in infos.items()
                if info.profile_version == logged_out.get(info.profile.name, "")
            ]
            self._end_all(useless, EndReason.DISCARDED)

    def _discard_unwanted(self) -> None:
        """End the warm sessions of profiles whose share has gone to others."""
        kept = self._kept()
        unwanted = kept - self._demand.shares(self._warm.size, kept, self._is_logged_in)
        for actor in self._warm.kept:
            if actor.is_warm and unwanted[actor.spec.profile.name]:
                unwanted[actor.spec.profile.name] -= 1
                self._end_all([actor], EndReason.DISCARDED)

    # Their ends

    def _end_all(self, actors: list[SessionActor], reason: EndReason = EndReason.SHUTDOWN) -> None:
        for actor in actors:
            self._nursery.start_soon(self._end, actor, reason)

    async def _end(self, actor: SessionActor, reason: EndReason) -> None:
        try:
            await actor.handle.ask_to_end(reason)
        except Exception as exc:
            contain(exc, _log, "a session could not be asked to end", session_id=actor.spec.id)

    async def _drain(self, grace_s: float, reply_to: trio.MemorySendChannel[outcome.Maybe[None]]) -> None:
        """End what is being created now, and what is live after the grace, if it has not ended by then."""
        with answering(reply_to, "Drain"):
            self._warm.running.cancel(reason="the supervisor drains")
            self._end_all([actor for actor in self._actors.values() if not actor.is_live])
            with trio.move_on_after(grace_s):
                await self._empty.wait()
            self._end_all(list(self._actors.values()))
            await self._empty.wait()
            answer(reply_to, outcome.Value(None))

    # What there is

    def pressure(self) -> Pressure:
        """Return how full it is now."""
        requested = self._requested
        room = 0 if self._draining else max(0, self.config.max_sessions - requested)
        return Pressure(
            sessions=requested,
            warm=self._warm.count,
            max_sessions=self.config.max_sessions,
            room=room,
            queued=self._admission.queued,
            launching=self._admission.launching,
            next_free_s=None if room or self._draining else self._next_free_s,
        )

    def overview(self) -> Overview:
        """Return all that there is now."""
        infos = [actor.info() for actor in self._actors.values()]
        ended = (info for info in self._ended.latest() if info.is_requested)
        return Overview(
            sessions=tuple(info for info in infos if info.is_requested),
            warm=tuple(info for info in infos if not info.is_requested),
            ended=tuple(itertools.islice(ended, _SHOWN)),
            hosts=self.machine.hosts,
            max_sessions=self.config.max_sessions,
            last_event=self.events.last,
        )

    async def _find_leaks(self, reply_to: trio.MemorySendChannel[outcome.Maybe[Holdings]]) -> None:
        with answering(reply_to, "FindLeaks"):
            before, started = set(self._actors), trio.current_time()
            owned = await self.machine.survey()
            known = before | self._actors.keys() | self._ended.since(started) | owned.hosts
            leaked = Owned(
                processes=tuple(item for item in owned.processes if item.session not in known),
                directories=tuple(item for item in owned.directories if item.session not in known),
                entries=tuple(session for session in owned.entries if session not in known),
            )
            answer(reply_to, outcome.Value(Holdings(owned=owned, leaked=leaked)))


async def _claim(warm: SessionActor, caller: Caller) -> bool:
    """Offer a warm session a caller; return whether it has taken it."""
    if caller.has_left:
        return False
    reply_to, reply = _open_for_fitness(1)
    with reply, contextlib.suppress(trio.BrokenResourceError, trio.EndOfChannel):
        await warm.mailbox.send(Claim(caller=caller, reply_to=reply_to))
        await reply.receive()
        return True
    return False
