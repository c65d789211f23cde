"""The supervisor: who lives and who dies."""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final, TypeVar

import attrs
import outcome
import trio

from greenroom.actors.errors import (
    GreenroomError,
    NotLoggedIn,
    NotReady,
    ProfileNotReplaced,
    ResourcesExhausted,
    SupervisorStopped,
)
from greenroom.actors.lifecycle import (
    DEFAULT_PROFILE,
    ProfileInfo,
    ProfileMode,
    ProfileUse,
    Purpose,
    SessionInfo,
    check_profile_name,
)
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.ports import Machine
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.session.order import Maker, Order
from greenroom.supervisor.config import SupervisorConfig
from greenroom.supervisor.events import EventStream, Subscriber
from greenroom.supervisor.idempotency import Creation, KeyedCreations
from greenroom.supervisor.live_session import LiveSession
from greenroom.supervisor.machine import open_machine
from greenroom.supervisor.messages import (
    CountSessions,
    Drain,
    FindLeaks,
    Holdings,
    ListSessions,
    Message,
    Overview,
    SessionCount,
)
from greenroom.supervisor.pressure import Pressure
from greenroom.supervisor.refreshing import Refreshing
from greenroom.supervisor.registry import Registry
from greenroom.supervisor.self_check import Check, Subject
from greenroom.supervisor.tracing import tracing_subscriber

# More than the end of a session takes: a polite close, a kill, and the removal of a clone.
END_S = 30.0
# How long a person has to log in, unless asked otherwise.
LOGIN_S: Final = 600.0

T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_supervisor(
    config: SupervisorConfig, *, machine: Machine | None = None, subscriber: Subscriber | None = None
) -> AsyncIterator["Supervisor"]:
    """Run a supervisor for the length of the block, in a nursery of its own.

    Leaving the block, or cancelling it, ends every session and returns when all of them are gone. `machine`
    replaces this machine. `subscriber` gets every event, including the last ones. Sessions are traced if the
    program has set up an OpenTelemetry SDK. If no session could ever run, raises on entering what
    `open_machine` raises.
    """
    events = EventStream()
    async with contextlib.AsyncExitStack() as stack:
        if subscriber is not None:
            stack.enter_context(events.subscribed(subscriber))
        if (tracing := tracing_subscriber()) is not None:
            stack.enter_context(events.subscribed(tracing))
        if machine is None:
            machine = await stack.enter_async_context(open_machine(config, events.publish))
        requests, inbox = trio.open_memory_channel[Message](0)
        registry = Registry(config=config, machine=machine, events=events)
        stack.enter_context(events.subscribed(registry.hear))
        supervisor = Supervisor(
            config=config, events=events, requests=requests, registry=registry, machine=machine.about
        )
        refreshing = Refreshing(
            machine=machine,
            period_s=config.profile_refresh,
            refresh=supervisor.refresh,
            is_used=registry.is_used,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(registry.run, inbox)
            if config.profile_refresh:
                nursery.start_soon(refreshing.run)
            try:
                yield supervisor
            finally:
                refreshing.running.cancel(reason="the supervisor stops")
                requests.close()  # the registry takes this as the sign to end all sessions


@attrs.frozen(kw_only=True, repr=False)
class Supervisor:
    """The way to a running supervisor. Every method raises `SupervisorStopped` once it is stopping."""

    config: SupervisorConfig
    events: EventStream
    machine: MachineInfo
    _requests: trio.MemorySendChannel[Message]
    _registry: Registry
    _keyed: KeyedCreations = attrs.field(init=False)

    @_keyed.default
    def _make_keyed(self) -> KeyedCreations:
        return KeyedCreations(begin=self._begin_creation)

    @property
    def checks(self) -> Mapping[Subject, Check]:
        """The latest result of each self-check."""
        return self._registry.self_check.checks

    def overview(self) -> Overview:
        """Return all that there is now: sessions, those that ended lately, hosts."""
        return self._registry.overview()

    @property
    def known_profiles(self) -> tuple[ProfileInfo, ...]:
        """The profiles as the self-check saw them last, at most a minute or so ago; none at first."""
        return self._registry.self_check.profiles

    @property
    def logged_out(self) -> Collection[str]:
        """The names of the profiles that are known to be logged out."""
        return self._registry.self_check.logged_out.keys()

    def pressure(self) -> Pressure:
        """Return how full it is now."""
        return self._registry.pressure()

    async def check_ready(self, profile: str = DEFAULT_PROFILE) -> None:
        """Return if a session of a profile that was asked for now could be expected to go live.

        This starts nothing. Raises `SupervisorStopped`, `CapacityExhausted`, `Overloaded` or
        `ResourcesExhausted` as `create_session` would, and `NotReady` for what is wrong with the profile, the
        site or the place of clones. `ValueError` for a name that no profile can have.
        """
        check_profile_name(profile)
        if (refusal := self._registry.refusal(profile)) is not None:
            raise refusal
        try:
            lacking = await self._registry.machine.shortage(profile)
        except NotLoggedIn as exc:
            raise NotReady(exc.hint) from exc
        except GreenroomError as exc:
            raise NotReady(str(exc)) from exc
        if lacking is not None and not self._registry.has_warm(profile):
            raise ResourcesExhausted(lacking)
        if (problem := self._registry.self_check.problem_of(profile)) is not None:
            raise NotReady(problem)

    async def create_session(
        self,
        idempotency_key: str | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
        mode: ProfileMode = ProfileMode.READ,
        maker: Maker | None = None,
    ) -> SessionInfo:
        """Create a session of a profile; return it once it is live. It ends by itself, or by `end_session`.

        Cancelling this cancels the creation. Raises `CapacityExhausted`, `Overloaded`, `NotLoggedIn`,
        `ProfileLocked`, `CreationTimedOut`, `UpstreamUnreachable`, or another `GreenroomError`, with nothing
        left behind. With an idempotency key, all calls with the same key within 15 minutes share one session
        and get the same outcome; the creation is cancelled only when all callers that wait for it are.

        A session in the mode WRITE makes its profile's next generation: until it has ended, no other session
        of that profile can be created. Its receipt says what came of it. Raises `ValueError` for a name that
        no profile can have, and `ProfileNotFound`. A session counts for its `maker`; raises
        `TooManySessions` if they have as many as they may.
        """
        use = ProfileUse(name=profile, mode=mode)
        return await self._create(Order(profile=use, maker=maker), idempotency_key)

    async def _create(self, order: Order, idempotency_key: str | None = None) -> SessionInfo:
        if idempotency_key is not None:
            return await self._keyed.get(idempotency_key, order)
        creation = self._begin_creation(order)
        try:
            return await creation.result()
        except GreenroomError:  # the answer
            raise
        except BaseException:
            creation.leave()
            raise

    def _begin_creation(self, order: Order) -> Creation:
        timeout_s = self.config.session_creation_timeout
        return Creation(requests=self._requests, timeout_s=timeout_s, order=order)

    @contextlib.asynccontextmanager
    async def session(
        self, *, profile: str = DEFAULT_PROFILE, mode: ProfileMode = ProfileMode.READ
    ) -> AsyncIterator[LiveSession]:
        """Create a session and own it for the block, which can use it; it has ended when the block is left.

        Leaving waits for the end even if cancelled, for `END_S` at most; the supervisor then goes on alone.
        Raises what `create_session` does, and `CleanupIncomplete` if something of it could not be removed.
        """
        info = await self.create_session(profile=profile, mode=mode)
        handle = self.handle(info.id)
        try:
            yield LiveSession(handle)
        finally:
            with trio.move_on_after(END_S, shield=True):
                await handle.end()

    async def open_login(
        self,
        profile: str = DEFAULT_PROFILE,
        *,
        timeout_s: float = LOGIN_S,
        headless: bool | None = None,
        url: str | None = None,
        idempotency_key: str | None = None,
        maker: Maker | None = None,
    ) -> SessionInfo:
        """Create a session in which a person logs in to a profile; return it once it is live.

        It is live whatever the page shows, and ends once that shows a login, or after `timeout_s`. Its
        receipt says whether the profile has been saved. A profile that does not exist is made, and stays if
        there is a login. An idempotency key and a maker are as for `create_session`. Raises what that does,
        except `NotLoggedIn` and `ProfileNotFound`.
        """
        return await self._create(
            Order(
                profile=ProfileUse(name=profile, mode=ProfileMode.WRITE, may_be_new=True),
                purpose=Purpose.LOGIN,
                duration_s=timeout_s,
                headless=headless,
                url=url,
                maker=maker,
            ),
            idempotency_key,
        )

    async def open_browse(
        self,
        profile: str = DEFAULT_PROFILE,
        *,
        url: str | None = None,
        headless: bool | None = None,
        idempotency_key: str | None = None,
        maker: Maker | None = None,
    ) -> SessionInfo:
        """Create a session that a person uses by hand; return it once it is live.

        It is live whatever the page shows, for `max_extended_duration`. It ends when its window is closed.
        What it changes in the profile is saved if the page shows a login at last. Raises what `open_login`
        does.
        """
        return await self._create(
            Order(
                profile=ProfileUse(name=profile, mode=ProfileMode.WRITE, may_be_new=True),
                purpose=Purpose.BROWSE,
                duration_s=self.config.max_extended_duration,
                headless=headless,
                url=url,
                maker=maker,
            ),
            idempotency_key,
        )

    async def import_state(
        self, state: StorageState, profile: str = DEFAULT_PROFILE, *, maker: Maker | None = None
    ) -> int:
        """Give a profile a login from elsewhere; return the number of the generation that has it.

        A browser on a copy of the profile gets `state`, and must show a login with it. A profile that does
        not exist is made. Raises what `create_session` does, `ActionFailed` if the browser does not take the
        state, and `ProfileNotReplaced`, each with the profile as it was. Once the page has shown the login,
        it is saved even if this is cancelled.
        """
        use = ProfileUse(name=profile, mode=ProfileMode.WRITE, may_be_new=True)
        return await self._commit(Order(profile=use, purpose=Purpose.IMPORT, state=state, maker=maker))

    async def refresh(self, profile: str = DEFAULT_PROFILE) -> int:
        """Load the site's page and keep what it renews; return the number of the generation that has it.

        Raises what `create_session` does, and `ProfileNotReplaced`, with the profile as it was.
        """
        use = ProfileUse(name=profile, mode=ProfileMode.WRITE)
        return await self._commit(Order(profile=use, purpose=Purpose.REFRESH))

    async def profiles(self) -> tuple[ProfileInfo, ...]:
        """Return the profiles that there are, the default one first, then by name."""
        return await self._registry.machine.profiles()

    async def _commit(self, order: Order) -> int:
        handle = self.handle((await self._create(order)).id)
        info = await handle.wait_ended()
        commit = info.receipt.commit if info.receipt else None
        if commit is None or commit.generation is None:
            raise ProfileNotReplaced((commit and commit.problem) or "The session has ended early")
        return commit.generation

    def handle(self, session_id: str) -> SessionHandle:
        """Return the handle of a session that exists, or has ended within the last 15 minutes.

        Its requests go straight to the session. Raises `SessionNotFound`.
        """
        way = self._requests.statistics()
        if not (way.open_send_channels and way.open_receive_channels):
            raise SupervisorStopped
        return self._registry.session(session_id)

    async def read_bundle(self, session_id: str) -> bytes | None:
        """Return the zip file that is kept for a day of a session that has failed; None if there is none."""
        return await self._registry.machine.read_bundle(session_id)

    async def kept_bundles(self) -> frozenset[str]:
        """Return the ids of the sessions of which `read_bundle` has something."""
        return await self._registry.machine.kept_bundles()

    async def end_session(self, session_id: str) -> None:
        """End a session and return when its browser and clone are gone. It may have ended already.

        Raises `SessionNotFound`, or `CleanupIncomplete` if something of it could not be removed.
        """
        await self.handle(session_id).end()

    async def get_session(self, session_id: str) -> SessionInfo:
        """Return a session as it is, or as it ended within the last 15 minutes. Raises `SessionNotFound`."""
        await trio.lowlevel.checkpoint()
        return self.handle(session_id).info()

    async def list_sessions(self) -> list[SessionInfo]:
        """Return the sessions that were asked for and have not ended, oldest first."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[list[SessionInfo]]](1)
        return await self._ask(ListSessions(reply_to=reply_to), reply)

    async def count_sessions(self) -> SessionCount:
        """Return how many sessions there are."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[SessionCount]](1)
        return await self._ask(CountSessions(reply_to=reply_to), reply)

    async def find_leaks(self) -> Holdings:
        """Survey what the supervisor owns on this machine, and which part of it belongs to no session."""
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[Holdings]](1)
        return await self._ask(FindLeaks(reply_to=reply_to), reply)

    async def drain(self, grace_s: float) -> None:
        """Take no more sessions, cancel those being created, and let the live ones go on for `grace_s`.

        Returns when none is left. To end the rest sooner, cancel this and call `stop`.
        """
        reply_to, reply = trio.open_memory_channel[outcome.Maybe[None]](1)
        with contextlib.suppress(SupervisorStopped):
            await self._ask(Drain(grace_s=grace_s, reply_to=reply_to), reply)

    async def stop(self) -> None:
        """End all sessions, creations under way included, and return when they are gone."""
        self._requests.close()
        await self._registry.stopped.wait()

    async def _ask(self, request: Message, reply: trio.MemoryReceiveChannel[outcome.Maybe[T]]) -> T:
        with reply:
            try:
                await self._requests.send(request)
                answer = await reply.receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
                raise SupervisorStopped from None
        return answer.unwrap()
