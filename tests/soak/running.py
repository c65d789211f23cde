"""The soak itself: ten batches of cycles. After each, everything must be gone."""

import contextlib
import math
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import attrs
import trio

from greenroom import GreenroomError, Supervisor, SupervisorConfig, open_supervisor
from greenroom.actors.browser.cells.marks import own_processes
from greenroom.actors.browser.client import link, pool
from greenroom.actors.browser.client.pool import HostPool
from greenroom.actors.errors import BrowserLost
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import SessionState
from greenroom.actors.machine.local import LocalMachine
from greenroom.supervisor import remembered
from tests.soak.faults import Cycle, Fault, draw
from tests.soak.machines import Struck, is_struck_from_outside, open_faulty_machine, strike_when_struck
from tests.soak.measuring import Footprint

BATCHES = 10
# A soak fails if memory grows by more than this from the first tenth to the end.
MAX_GROWTH_BYTES = 2 << 20
SESSIONS_PER_HOST = 4
# A host is replaced after so few sessions, so that the soak replaces many hosts.
MAX_SERVED = 10
# How long the pool may take to end hosts that it no longer needs, and to start the one that it keeps.
_SETTLE_S = 10.0


@attrs.frozen(kw_only=True)
class Plan:
    """What a soak does.

    Of the cycles with a fault that strikes a whole host, the fraction `alone` get a host to themselves.
    """

    cycles: int
    concurrency: int
    browserless: bool
    weights: Mapping[Fault, int]
    seed: int
    delay_s: float
    stalled_s: float
    heartbeat_s: float
    alone: float
    batches: int = BATCHES

    @property
    def max_hosts(self) -> int:
        """How many hosts the pool may have that still take sessions: as few as needed, and an idle one."""
        return math.ceil(self.concurrency / SESSIONS_PER_HOST) + 1


@attrs.define(eq=False, kw_only=True)
class Tally:
    """The results of a soak.

    `in_hosts` sessions shared `hosts` hosts. At most `most_hosts` of these could take sessions at once.
    """

    cycles: int = 0
    hosts: int = 0
    in_hosts: int = 0
    most_hosts: int = 0
    ends: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    leaks: Counter[str] = attrs.field(factory=Counter)
    surprises: list[str] = attrs.field(factory=list)
    footprints: list[Footprint] = attrs.field(factory=list)
    seconds: float = 0

    @property
    def growth_bytes(self) -> int:
        """How much the memory (RSS) grew from the first tenth to the end.

        PSS is no good for this: it also grows when another process that shares pages with this one ends.
        """
        return self.footprints[-1].rss - self.footprints[0].rss

    @property
    def failures(self) -> list[str]:
        """What is wrong, in words. Empty if all is well."""
        found = [f"{count} leaked {kind}" for kind, count in self.leaks.items() if count]
        found += [f"unexpected end: {surprise}" for surprise in self.surprises]
        if self.growth_bytes > MAX_GROWTH_BYTES:
            found.append(f"memory grew by {self.growth_bytes / (1 << 20):.1f} MB")
        return found


@attrs.define(eq=False, kw_only=True)
class Soak:
    """Runs cycles through a supervisor, each with its fault, and looks for what they leave behind."""

    plan: Plan
    on_cycle: Callable[[Tally], None]
    on_batch: Callable[[Tally], None]
    tally: Tally = attrs.field(factory=Tally, init=False)
    _source: random.Random = attrs.field(init=False)
    _cycles: dict[str, Cycle] = attrs.field(factory=dict, init=False)
    _struck: Struck = attrs.field(factory=lambda: defaultdict(set), init=False)
    _hosts: set[str] = attrs.field(factory=set, init=False)
    _next: Cycle | None = attrs.field(default=None, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._source = random.Random(self.plan.seed)  # noqa: S311  # nothing secret

    async def run(self, config: SupervisorConfig, broken: Path) -> Tally:
        """Run all cycles. `broken` is a master that can't be cloned."""
        started = time.monotonic()
        async with self._open(config, broken) as (sessions, real):
            for batch in range(self.plan.batches):
                last = self.plan.cycles * (batch + 1) // self.plan.batches
                await self._run_batch(sessions, real, last - self.tally.cycles)
                await self._look_for_leaks(sessions, real.pool)
                self.tally.footprints.append(Footprint.now())
                self.on_batch(self.tally)
        self.tally.seconds = time.monotonic() - started
        first, last_one = self.tally.footprints[0], self.tally.footprints[-1]
        self.tally.leaks["file descriptors"] += max(0, last_one.descriptors - first.descriptors)
        self.tally.leaks["processes"] += len(own_processes())
        self.tally.leaks["directories"] += sum(1 for _ in config.clones_dir.iterdir())
        return self.tally

    @contextlib.asynccontextmanager
    async def _open(
        self, config: SupervisorConfig, broken: Path
    ) -> AsyncIterator[tuple[Supervisor, LocalMachine]]:
        browserless = self.plan.browserless
        async with (
            open_faulty_machine(
                config, broken, self._cycles.__getitem__, self._struck, browserless=browserless
            ) as faulty,
            open_supervisor(config, machine=faulty, subscriber=self._hear) as sessions,
        ):
            yield sessions, faulty.real

    async def _run_batch(self, sessions: Supervisor, real: LocalMachine, count: int) -> None:
        waiting = iter(
            [draw(self._source, self.plan.weights, self.plan.delay_s, self.plan.alone) for _ in range(count)]
        )
        async with trio.open_nursery() as nursery:
            for _ in range(self.plan.concurrency):
                nursery.start_soon(self._work, sessions, real, waiting)

    async def _work(self, sessions: Supervisor, real: LocalMachine, waiting: Iterator[Cycle]) -> None:
        for cycle in waiting:
            await self._run_cycle(sessions, real, cycle)
            self._take_down(cycle, real)

    async def _run_cycle(self, sessions: Supervisor, real: LocalMachine, cycle: Cycle) -> None:
        async with trio.open_nursery() as nursery:
            async with self._one_at_a_time:  # so that the next session to begin is this cycle's
                self._next = cycle
                nursery.start_soon(_call, sessions, cycle)
                await cycle.begun.wait()
            if is_struck_from_outside(cycle, browserless=self.plan.browserless):
                nursery.start_soon(strike_when_struck, real, cycle, self._struck)
            if cycle.fault is Fault.DELETED:
                await trio.sleep(cycle.delay_s)
                await sessions.end_session(cycle.session_id)
            await cycle.ended.wait()
            cycle.struck.set()

    def _hear(self, event: SessionEvent) -> None:
        """Pass a session's events on to its cycle."""
        session = event.session
        if session.state is SessionState.CLONING:
            cycle, self._next = self._next, None
            assert cycle is not None
            self._cycles[session.id] = cycle
            cycle.session_id = session.id
            cycle.begun.set()
        cycle = self._cycles[session.id]
        if session.state is cycle.moment:
            cycle.struck.set()
        if session.state is SessionState.ENDED:
            cycle.reason = session.reason
            del self._cycles[session.id]
            cycle.ended.set()

    def _take_down(self, cycle: Cycle, real: LocalMachine) -> None:
        """Record a cycle's end, and anything left of it."""
        assert cycle.reason is not None
        self.tally.cycles += 1
        reason = cycle.reason.value
        if not cycle.explained and cycle.explained_by(self._struck.get(cycle.host, ())):
            reason += " with its host"
        elif not cycle.explained:
            moment = f" while {cycle.moment.value}" if cycle.moment else ""
            self.tally.surprises.append(f"{cycle.fault.value}{moment}: {reason}")
        self.tally.ends[cycle.fault.value, reason] += 1
        for name in (cycle.session_id, cycle.host) if cycle.alone else (cycle.session_id,):
            self._count_left(real.ledger.folder, name)
        self._count_hosts(cycle, real.pool)
        self.on_cycle(self.tally)

    def _count_left(self, folder: Path, name: str) -> None:
        for path in (folder / name, folder / f"{name}.tmp"):
            self.tally.leaks["directories"] += bool(name) and os.path.lexists(path)
        self.tally.leaks["entries"] += os.path.lexists(folder / "ledger" / f"{name}.json")

    def _count_hosts(self, cycle: Cycle, hosts: HostPool) -> None:
        if cycle.host and not cycle.alone:
            self._hosts.add(cycle.host)
            self.tally.in_hosts += 1
        able = [member for member in hosts._members if not member.is_over and member.served < pool.MAX_SERVED]
        self.tally.most_hosts = max(self.tally.most_hosts, len(able))
        self.tally.leaks["hosts"] += max(0, len(able) - self.plan.max_hosts)

    async def _look_for_leaks(self, sessions: Supervisor, hosts: HostPool) -> None:
        """Count what the daemon owns while no session exists, except for the one host that it keeps ready."""
        while await sessions.list_sessions():  # the last one has reported its end and is about to go
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(_SETTLE_S):
            while len(hosts.ids) > 1:
                await trio.sleep(0.01)
            for member in list(hosts._members):
                with contextlib.suppress(BrowserLost):
                    await (await member.wait_open()).link.wait_ready()
        owned = (await sessions.find_leaks()).owned
        self.tally.leaks["processes"] += sum(item.session not in owned.hosts for item in owned.processes)
        self.tally.leaks["directories"] += sum(item.session not in owned.hosts for item in owned.directories)
        self.tally.leaks["entries"] += sum(name not in owned.hosts for name in owned.entries)
        self.tally.leaks["hosts"] += max(0, len(owned.hosts) - 1)
        self.tally.hosts += len(self._hosts)
        self._hosts.clear()
        self._struck.clear()


async def _call(sessions: Supervisor, cycle: Cycle) -> None:
    """Ask for the session. A caller whose fault is to leave stops waiting after the cycle's delay."""
    patience = cycle.delay_s if cycle.fault is Fault.CALLER_LEFT else float("inf")
    with trio.move_on_after(patience), contextlib.suppress(GreenroomError):
        await sessions.create_session()


@contextlib.contextmanager
def hurried(plan: Plan) -> Iterator[None]:
    """Declare hosts stalled early, replace them after few sessions, and remember few ended sessions.

    The supervisor remembers up to `KEEP` ended sessions for 15 minutes. That memory is in use, not leaked.
    Remembering at most a tenth of the cycles makes it reach its full size within the first tenth.
    """
    kept = link._STALLED_S, link._HEARTBEAT_S, pool.MAX_SERVED, remembered.KEEP
    link._STALLED_S, link._HEARTBEAT_S, pool.MAX_SERVED = plan.stalled_s, plan.heartbeat_s, MAX_SERVED
    remembered.KEEP = min(remembered.KEEP, max(1, plan.cycles // BATCHES))
    try:
        yield
    finally:
        link._STALLED_S, link._HEARTBEAT_S, pool.MAX_SERVED, remembered.KEEP = kept
