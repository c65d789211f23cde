"""Browser hosts shared by sessions. A few processes are started before the first request, and kept."""

import contextlib
from collections.abc import AsyncIterator, Callable

import attrs
import structlog
import trio

from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHost, BrowserHosts, new_host_id
from greenroom.actors.errors import BrowserLost, GreenroomError
from greenroom.actors.events import HostChange, HostEvent
from greenroom.actors.ledger import Entry
from greenroom.actors.machine.ports import HostInfo
from greenroom.actors.machine.sampler import ScanFailed
from greenroom.actors.resources import Budget

# A host is replaced after this many sessions, so that whatever its driver keeps of each can't add up.
MAX_SERVED = 100
# A host that ends sooner than this is only replaced when a session needs one.
LASTED_S = 60.0
# How often a host's own use is sampled.
SAMPLE_S = 5.0

_log = structlog.get_logger("greenroom.pool")


@attrs.define(eq=False)
class _Member:
    """A host of the pool, from before its start until nothing is left of it.

    The ledger's folder may be replaced; `folder` is the number of the one that this host sees.
    """

    folder: int
    id: str = attrs.field(factory=new_host_id, init=False)
    host: BrowserHost | None = attrs.field(default=None, init=False)
    started: float = attrs.field(factory=trio.current_time, init=False)
    error: GreenroomError | None = attrs.field(default=None, init=False)
    sessions: set[str] = attrs.field(factory=set, init=False)
    served: int = attrs.field(default=0, init=False)
    opened: trio.Event = attrs.field(factory=trio.Event, init=False)
    serving: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    @property
    def is_over(self) -> bool:
        """Whether the host takes no more sessions."""
        is_lost = self.host is not None and self.host.link.loss.has_happened
        return is_lost or self.serving.cancel_called

    async def wait_open(self) -> BrowserHost:
        """Return the host once it has started. Raises `GreenroomError` if it does not start."""
        await self.opened.wait()
        if self.host is None:
            raise self.error or BrowserLost("The browser host does not start")
        return self.host


@attrs.define(eq=False, kw_only=True, repr=False)
class HostPool:
    """Gives sessions places in hosts that each serve up to `sessions_per_host` at once.

    A session gets the fullest host with a free place; if there is none, a host is started. One idle host is
    kept, others end. `budget` limits what a host itself may use; browsers count for their sessions. `tell`
    hears what becomes of hosts.
    """

    hosts: BrowserHosts
    sessions_per_host: int
    budget: Budget
    tell: Callable[[HostEvent], None] = attrs.field(default=lambda _: None)
    is_closing: bool = attrs.field(default=False, init=False)
    _nursery: trio.Nursery
    _members: list[_Member] = attrs.field(factory=list, init=False)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all hosts, including those that are starting or ending."""
        return frozenset(member.id for member in self._members)

    @property
    def running(self) -> tuple[HostInfo, ...]:
        """The hosts that have started, with the sessions in each."""
        return tuple(
            HostInfo(id=member.id, sessions=len(member.sessions))
            for member in self._members
            if member.host is not None and not member.is_over
        )

    @contextlib.asynccontextmanager
    async def open_browser(
        self, session_id: str, entry: Entry | None = None, *, in_new_host: bool = False
    ) -> AsyncIterator[ScraplingFetcherAdapter]:
        """Own a place in one of the hosts, or in another if that does not start; see `BrowserHost`.

        With `in_new_host` it is a host without earlier sessions. No cancel scope stays open during the block,
        so an exit stack may hold it. Raises `BrowserLost` on entering if no host starts.
        """
        async with contextlib.AsyncExitStack() as place:

            async def enter(member: _Member) -> BrowserHost:
                return await place.enter_async_context(self._open_place(member, session_id))

            try:
                host = await enter(self._find_unused() if in_new_host else self._find_place())
            except BrowserLost:
                host = await enter(self.start())
            async with host.open_browser(session_id, entry) as browser:
                yield browser

    @contextlib.asynccontextmanager
    async def _open_place(self, member: _Member, session_id: str) -> AsyncIterator[BrowserHost]:
        member.sessions.add(session_id)
        member.served += 1
        try:
            yield await member.wait_open()
        finally:
            member.sessions.remove(session_id)
            self._end_idle(member)

    def start(self) -> _Member:
        """Start one more host."""
        member = _Member(folder=self._folder)
        self._members.append(member)
        self._nursery.start_soon(self._run, member)
        return member

    @property
    def _folder(self) -> int:
        return self.hosts.ledger.times_replaced if self.hosts.ledger else 0

    def _find_place(self) -> _Member:
        for member in self._members:
            if not member.sessions and member.folder != self._folder:
                member.serving.cancel(reason="the folder that the host sees is gone")
        free = filter(self._has_place, self._members)
        return max(free, key=lambda member: len(member.sessions), default=None) or self.start()

    def _find_unused(self) -> _Member:
        unused = (member for member in self._members if not member.served and self._has_place(member))
        return next(unused, None) or self.start()

    def _end_idle(self, left: _Member) -> None:
        """End a host that has become idle, unless it is the one to keep."""
        if left.sessions:
            return
        idle = [member for member in self._members if not member.sessions and self._has_place(member)]
        if idle != [left]:
            left.serving.cancel(reason="nobody uses the host")
        self._keep_one_ready()

    def _keep_one_ready(self) -> None:
        if not (self.is_closing or any(map(self._has_place, self._members))):
            self.start()

    def _has_place(self, member: _Member) -> bool:
        has_room = len(member.sessions) < self.sessions_per_host and member.served < MAX_SERVED
        # A sandboxed host still sees a folder that was removed, not the one made in its place.
        return has_room and not member.is_over and member.folder == self._folder

    async def _run(self, member: _Member) -> None:
        """Run a host until it is lost or no longer needed.

        The host outlives a cancellation around the pool, because its sessions still have to end.
        """
        try:
            with trio.CancelScope(shield=True), member.serving:
                async with self.hosts.open_host(member.id) as member.host:
                    member.opened.set()
                    self._tell(member, HostChange.STARTED)
                    await self._watch(member.host)
                    self._tell(member, HostChange.LOST)
                    sessions = sorted(member.sessions)
                    detail = member.host.link.loss.why
                    _log.warning("a browser host was lost", host=member.id, sessions=sessions, detail=detail)
        except GreenroomError as exc:
            member.error = exc
            _log.warning("a browser host failed", host=member.id, error=str(exc), detail=exc.detail)
        except Exception as exc:  # one host's failure must not end the others
            member.error = BrowserLost("The browser host failed", detail=repr(exc))
            _log.error("a browser host failed", host=member.id, error=repr(exc))
        finally:
            member.opened.set()
            self._members.remove(member)
            if member.host is not None:
                self._tell(member, HostChange.ENDED)
            if trio.current_time() - member.started >= LASTED_S:
                self._keep_one_ready()

    def _tell(self, member: _Member, change: HostChange) -> None:
        self.tell(HostEvent(change=change, host=member.id, sessions=len(member.sessions)))

    async def _watch(self, host: BrowserHost) -> None:
        """Return once the host is lost. Lose it if it uses too much."""
        link = host.link
        while not link.loss.has_happened:
            with trio.move_on_after(SAMPLE_S):
                await link.loss.wait()
                break
            try:
                usage = await self.hosts.sampler.measure(host.cell.marker, [host.cell.scratch])
            except ScanFailed:  # the sampler has logged it, once for all
                continue
            except Exception as exc:  # for example no free descriptor or thread; the host itself is fine
                _log.warning("a sample can't be taken", host=link.host, detail=repr(exc))
                continue
            if breach := self.budget.breach(usage, "browser host"):
                link.lose(breach)


@contextlib.asynccontextmanager
async def open_pool(
    hosts: BrowserHosts,
    *,
    sessions_per_host: int,
    budget: Budget,
    tell: Callable[[HostEvent], None] = lambda _: None,
) -> AsyncIterator[HostPool]:
    """Run a pool of hosts for the length of the block. The first host is started right away.

    No session may be left in it at the end of the block.
    """
    async with trio.open_nursery() as nursery:
        pool = HostPool(
            hosts=hosts, sessions_per_host=sessions_per_host, budget=budget, tell=tell, nursery=nursery
        )
        pool.start()
        try:
            yield pool
        finally:
            pool.is_closing = True
            for member in pool._members:  # noqa: SLF001  # its own maker
                member.serving.cancel(reason="the pool is closed")
