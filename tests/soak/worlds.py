"""The real world's classes, told by each session's cycle what is to go wrong."""

import contextlib
import os
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import attrs
import psutil
import trio

from actors.browser import Engine, EngineName, HostPool, open_pool
from actors.browser.link import HostLink
from actors.browser.marks import pids_of
from actors.clones import LedgeredProfiles
from actors.estate import RealEstate
from actors.owner import MARKER
from actors.ports import Browser, Clone, World
from actors.profile import ProfileCloner
from actors.resources import Needs
from supervisor import SupervisorConfig
from supervisor.world import RealWorld, open_hosts, open_world, site_address
from tests.soak import host
from tests.soak.faults import OF_HOST, Cycle, Fault

HOST_COMMAND = (sys.executable, "-I", "-S", host.__file__, MARKER)
# The part of a cycle's delay after which a signal is sent: before a session could be live and expire.
STRIKE_WITHIN = 0.05
# A session that has just come to a state may not have the process yet.
_LOOK_AGAIN_S = 0.01

Cycles = Callable[[str], Cycle]
Struck = defaultdict[str, set[Fault]]
"""The faults with which hosts were struck."""


@attrs.frozen(kw_only=True)
class FaultyProfiles:
    """Clones, of a master that can't be cloned where that is the fault. Satisfies `ports.Profiles`."""

    profiles: LedgeredProfiles
    broken: Path
    cycles: Cycles
    browserless: bool

    @contextlib.asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Clone]:
        """Own a clone; in one for a host without a browser there is a note on what is to go wrong."""
        cycle = self.cycles(session_id)
        fault = cycle.fault
        profiles = self.profiles
        if fault is Fault.CLONE_FAILS:
            broken = ProfileCloner(master=self.broken, clones_dir=profiles.ledger.folder)
            profiles = attrs.evolve(profiles, cloner=broken)
        async with profiles.open_clone(session_id) as clone:
            if fault is Fault.NOT_LOGGED_IN:
                for file in clone.path.glob("cookies.sqlite*"):
                    file.unlink()
            if self.browserless:
                moment = cycle.moment.value if cycle.moment else "never"
                (clone.path / host.NOTE).write_text(f"{fault.value}\n{moment}")
            yield clone

    async def is_current(self, clone: Clone) -> bool:
        """Tell whether a clone is what the master is."""
        return await self.profiles.is_current(clone)

    async def current_version(self) -> str:
        """Return what the master is."""
        return await self.profiles.current_version()

    async def place_problem(self) -> str | None:
        """Return what is wrong with the place for clones."""
        return await self.profiles.place_problem()


@attrs.frozen(kw_only=True)
class FaultyBrowsers:
    """Places in the pool's hosts, or in a host for a session alone. Satisfies `ports.Browsers`."""

    pool: HostPool
    cycles: Cycles
    struck: Struck
    browserless: bool

    @contextlib.asynccontextmanager
    async def open_browser(self, session_id: str) -> AsyncIterator[Browser]:
        """Own a place in a host."""
        cycle = self.cycles(session_id)
        browsers = self.pool.hosts if cycle.alone else self.pool
        async with browsers.open_browser(session_id) as browser:
            self._note(cycle, browser._link)
            if (elsewhere := browser._elsewhere) is not None:

                async def move() -> HostLink:
                    link = await elsewhere()
                    self._note(cycle, link)
                    return link

                browser._elsewhere = move
            if not self.browserless and cycle.fault is Fault.LAUNCH_REFUSED:
                browser._engine = attrs.evolve(browser._engine, executable=Path("/bin/true"))
            yield browser

    def _note(self, cycle: Cycle, link: HostLink) -> None:
        """Note in which host a session is, and what strikes that: a host without browsers sees to it."""
        cycle.host = link.host
        if self.browserless and cycle.fault in OF_HOST:
            self.struck[cycle.host].add(cycle.fault)


@contextlib.asynccontextmanager
async def open_faulty_world(
    config: SupervisorConfig, broken: Path, cycles: Cycles, struck: Struck, *, browserless: bool
) -> AsyncIterator[tuple[World, RealWorld]]:
    """Open the real world; yield it with faults, and as it is.

    What strikes a host is noted in `struck` before it does.
    """
    async with (_open_browserless_world if browserless else open_world)(config) as real:
        faulty = World(
            profiles=FaultyProfiles(
                profiles=real.profiles, broken=broken, cycles=cycles, browserless=browserless
            ),
            browsers=FaultyBrowsers(
                pool=real.browsers, cycles=cycles, struck=struck, browserless=browserless
            ),
            estate=real.estate,
            site=real.site,
        )
        yield faulty, real


@contextlib.asynccontextmanager
async def _open_browserless_world(config: SupervisorConfig) -> AsyncIterator[RealWorld]:
    """Open a world like `open_world`, whose hosts have no browsers."""
    async with (
        open_hosts(config) as real_hosts,
        open_pool(
            attrs.evolve(real_hosts, engine=_SLEEP, host_command=HOST_COMMAND),
            sessions_per_host=config.sessions_per_host,
            budget=config.session_budget,
        ) as pool,
    ):
        ledger = real_hosts.ledger
        assert ledger is not None
        cloner = ProfileCloner(master=config.user_data_master_dir, clones_dir=ledger.folder)
        yield RealWorld(
            profiles=LedgeredProfiles(cloner=cloner, ledger=ledger, needs=Needs()),
            browsers=pool,
            estate=RealEstate(ledger, lambda: pool.ids, real_hosts.sampler),
            site=site_address(config),
        )


_SLEEP = Engine(
    name=EngineName.FIREFOX, executable=Path(shutil.which("sleep") or "/bin/sleep"), version="none"
)


_SIGNALS: Mapping[Fault, tuple[str, signal.Signals]] = {
    Fault.HOST_KILLED: ("actors.browser.host", signal.SIGKILL),
    Fault.STOPPED: ("actors.browser.host", signal.SIGSTOP),
    Fault.BROWSER_KILLED: ("firefox", signal.SIGKILL),
}


def strike(real: RealWorld, cycle: Cycle, struck: Struck) -> bool:
    """Send the fault's signal to the process, of the session or its host, that it is for.

    Returns whether there was one. Blocks for some milliseconds.
    """
    has_struck = False
    word, number = _SIGNALS[cycle.fault]
    of_host = cycle.fault in OF_HOST
    marker = f"{real.profiles.ledger.owner}.{cycle.host if of_host else cycle.session_id}"
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
    """Tell whether the fault needs `strike`: a host without a browser sees to it by itself."""
    return not browserless and cycle.fault in _SIGNALS


async def strike_when_struck(real: RealWorld, cycle: Cycle, struck: Struck) -> None:
    """Wait for the fault's moment, and a random part of a second more, and strike what is there by then."""
    await cycle.struck.wait()
    with trio.move_on_after(cycle.delay_s * STRIKE_WITHIN):
        await cycle.ended.wait()
        return
    while not (await trio.to_thread.run_sync(strike, real, cycle, struck) or cycle.ended.is_set()):
        await trio.sleep(_LOOK_AGAIN_S)
