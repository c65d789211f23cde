"""The real machine, with the fault of each session's cycle added."""

import contextlib
import os
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path

import attrs
import psutil
import trio

from greenroom import SupervisorConfig
from greenroom.actors.browser.cells.marks import pids_of
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHost, new_host_id
from greenroom.actors.browser.client.pool import HostPool
from greenroom.actors.browser.engines import Engine, EngineName
from greenroom.actors.browser.wire.messages import PROTOCOL_VERSION
from greenroom.actors.ledger import Entry
from greenroom.actors.lifecycle import DEFAULT_PROFILE, DEFAULT_USE, ProfileInfo, ProfileUse, Purpose
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.local import LocalMachine, open_local_machine
from greenroom.actors.machine.ports import HostInfo, Owned
from greenroom.actors.machine.workspace import LocalWorkspace
from greenroom.actors.owner import MARKER
from greenroom.actors.profile import ProfileCloner
from greenroom.supervisor.machine import local_browsers, open_machine, site_address
from tests.soak import host
from tests.soak.faults import OF_HOST, Cycle, Fault

HOST_COMMAND = (sys.executable, "-I", "-S", host.__file__, MARKER, str(PROTOCOL_VERSION))
# A signal is sent after this fraction of the cycle's delay, early enough that the session hasn't expired yet.
STRIKE_WITHIN = 0.05
# A session that has just entered a state may not have the process yet.
_LOOK_AGAIN_S = 0.01

Cycles = Callable[[str], Cycle]
Struck = defaultdict[str, set[Fault]]
"""The faults that have struck each host, by the host's id."""


@attrs.frozen(kw_only=True)
class FaultyMachine:
    """The real machine, plus each session's fault. Satisfies `ports.Machine`.

    `broken` is a master that can't be cloned. A fault that strikes a host is noted in `struck` beforehand.
    """

    real: LocalMachine
    broken: Path
    cycles: Cycles
    struck: Struck
    browserless: bool

    @contextlib.asynccontextmanager
    async def open_workspace(
        self,
        session_id: str,
        profile: ProfileUse = DEFAULT_USE,
        *,
        purpose: Purpose = Purpose.SESSION,
        until: datetime | None = None,
    ) -> AsyncIterator[LocalWorkspace]:
        """Open a workspace that launches in the host that the cycle calls for.

        For a host without browsers, the clone gets a note that says what goes wrong.
        """
        cycle = self.cycles(session_id)
        machine = self.real
        if cycle.fault is Fault.CLONE_FAILS:
            broken = ProfileCloner(master=self.broken, clones_dir=machine.ledger.folder)
            machine = attrs.evolve(machine, cloner=broken)
        async with contextlib.AsyncExitStack() as stack:
            own_host: BrowserHost | None = None
            if cycle.alone:
                own_host = await stack.enter_async_context(machine.pool.hosts.open_host(new_host_id()))
            workspace = await stack.enter_async_context(
                machine.open_workspace(session_id, profile, purpose=purpose, until=until)
            )
            self._spoil(Path(workspace.entry.clone), cycle)
            places = _FaultyPlaces(pool=machine.pool, own_host=own_host, cycle=cycle, machine=self)
            workspace._pool = places  # type: ignore[assignment]  # a launch gets its host from here
            yield workspace

    @property
    def about(self) -> MachineInfo:
        """The real machine's engine and sandbox."""
        return self.real.about

    async def profiles(self) -> tuple[ProfileInfo, ...]:
        """The real machine's profiles."""
        return await self.real.profiles()

    async def profile_version(self, name: str = DEFAULT_PROFILE) -> str:
        """Return a master profile's version."""
        return await self.real.profile_version(name)

    async def shortage(self, name: str = DEFAULT_PROFILE) -> str | None:
        """Return what is too scarce for one more session."""
        return await self.real.shortage(name)

    async def place_problem(self) -> str | None:
        """Return what is wrong with the clones directory."""
        return await self.real.place_problem()

    async def reach_site(self) -> None:
        """Connect to the site."""
        await self.real.reach_site()

    @property
    def hosts(self) -> tuple[HostInfo, ...]:
        """List the hosts."""
        return self.real.hosts

    async def read_bundle(self, session_id: str) -> bytes | None:
        """Return what is kept of a session."""
        return await self.real.read_bundle(session_id)

    async def kept_bundles(self) -> frozenset[str]:
        """List the sessions of which something is kept."""
        return await self.real.kept_bundles()

    async def survey(self) -> Owned:
        """List what the daemon owns."""
        return await self.real.survey()

    def _spoil(self, clone: Path, cycle: Cycle) -> None:
        if cycle.fault is Fault.NOT_LOGGED_IN:
            for file in clone.glob("cookies.sqlite*"):
                file.unlink()
        if self.browserless:
            moment = cycle.moment.value if cycle.moment else "never"
            (clone / host.NOTE).write_text(f"{cycle.fault.value}\n{moment}")

    def note_host(self, cycle: Cycle, host_id: str) -> None:
        """Note a session's host and, if that runs no browsers, the fault with which it will strike itself."""
        cycle.host = host_id
        if self.browserless and cycle.fault in OF_HOST:
            self.struck[host_id].add(cycle.fault)


@attrs.frozen(kw_only=True)
class _FaultyPlaces:
    """Places in the pool's hosts, or in a host for this session alone."""

    pool: HostPool
    own_host: BrowserHost | None
    cycle: Cycle
    machine: FaultyMachine

    @contextlib.asynccontextmanager
    async def open_browser(
        self, session_id: str, entry: Entry, *, in_new_host: bool
    ) -> AsyncIterator[ScraplingFetcherAdapter]:
        """Open a browser in a host, and note which host it is."""
        async with contextlib.AsyncExitStack() as place:
            if self.own_host is None:
                opening = self.pool.open_browser(session_id, entry, in_new_host=in_new_host)
            else:
                opening = self.own_host.open_browser(session_id, entry)
            browser = await place.enter_async_context(opening)
            self.machine.note_host(self.cycle, browser._link.host)
            if not self.machine.browserless and self.cycle.fault is Fault.LAUNCH_REFUSED:
                browser._engine = attrs.evolve(browser._engine, executable=Path("/bin/true"))
            yield browser


@contextlib.asynccontextmanager
async def open_faulty_machine(
    config: SupervisorConfig, broken: Path, cycles: Cycles, struck: Struck, *, browserless: bool
) -> AsyncIterator[FaultyMachine]:
    """Open the real machine, with faults. If `browserless`, its hosts run no browsers."""
    async with (_open_browserless_machine if browserless else open_machine)(config) as real:
        yield FaultyMachine(real=real, broken=broken, cycles=cycles, struck=struck, browserless=browserless)


@contextlib.asynccontextmanager
async def _open_browserless_machine(config: SupervisorConfig) -> AsyncIterator[LocalMachine]:
    browsers = await trio.to_thread.run_sync(local_browsers, config)
    async with open_local_machine(
        attrs.evolve(browsers, engine=_SLEEP, host_command=HOST_COMMAND),
        profiles=config.profiles,
        clones_dir=config.clones_dir,
        sessions_per_host=config.sessions_per_host,
        budget=config.session_budget,
        site=site_address(config),
        login_host="127.0.0.1",
        bundles_dir=config.bundles_dir,
    ) as machine:
        yield machine


_SLEEP = Engine(
    name=EngineName.FIREFOX, executable=Path(shutil.which("sleep") or "/bin/sleep"), version="none"
)


_SIGNALS: Mapping[Fault, tuple[str, signal.Signals]] = {
    Fault.HOST_KILLED: ("greenroom.actors.browser.host", signal.SIGKILL),
    Fault.STOPPED: ("greenroom.actors.browser.host", signal.SIGSTOP),
    Fault.BROWSER_KILLED: ("firefox", signal.SIGKILL),
}


def strike(real: LocalMachine, cycle: Cycle, struck: Struck) -> bool:
    """Send the fault's signal to its target, a process of the session or of its host.

    Returns whether there was such a process. Blocks for some milliseconds.
    """
    has_struck = False
    word, number = _SIGNALS[cycle.fault]
    of_host = cycle.fault in OF_HOST
    marker = f"{real.ledger.owner}.{cycle.host if of_host else cycle.session_id}"
    for pid in pids_of(marker):
        with contextlib.suppress(Exception):  # it may end at any moment
            command = psutil.Process(pid).cmdline()
            if word in " ".join(command) and command[0] != "bwrap":
                if of_host:
                    struck[cycle.host].add(cycle.fault)
                os.kill(pid, number)
                has_struck = True
    return has_struck


def is_struck_from_outside(cycle: Cycle, *, browserless: bool) -> bool:
    """Return whether the fault needs `strike`. A host without browsers strikes itself."""
    return not browserless and cycle.fault in _SIGNALS


async def strike_when_struck(real: LocalMachine, cycle: Cycle, struck: Struck) -> None:
    """Wait for the fault's moment and a short random delay, then strike."""
    await cycle.struck.wait()
    with trio.move_on_after(cycle.delay_s * STRIKE_WITHIN):
        await cycle.ended.wait()
        return
    while not (await trio.to_thread.run_sync(strike, real, cycle, struck) or cycle.ended.is_set()):
        await trio.sleep(_LOOK_AGAIN_S)
