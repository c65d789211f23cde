"""The real world's classes, told by each session's cycle what is to go wrong."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import attrs
import trio

from actors.browser import BrowserHosts, Engine, EngineName, marked_processes
from actors.clones import LedgeredProfiles
from actors.ports import Browser, Clone, World
from actors.profile import ProfileCloner
from supervisor import SupervisorConfig
from supervisor.world import RealWorld, open_world
from tests.soak.faults import Cycle, Fault

HOST_COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("host.py")))
# The part of a cycle's delay after which a signal is sent: before a session could be live and expire.
STRIKE_WITHIN = 0.05
# A session that has just come to a state may not have the process yet.
_LOOK_AGAIN_S = 0.01

Cycles = Callable[[str], Cycle]
Spoil = Callable[[BrowserHosts, Cycle], BrowserHosts]


@attrs.frozen(kw_only=True)
class FaultyProfiles:
    """Clones, of a master that can't be cloned where that is the fault. Satisfies `ports.Profiles`."""

    profiles: LedgeredProfiles
    broken: Path
    cycles: Cycles

    @contextlib.asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Clone]:
        """Own a clone."""
        fault = self.cycles(session_id).fault
        profiles = self.profiles
        if fault is Fault.CLONE_FAILS:
            broken = ProfileCloner(master=self.broken, clones_dir=profiles.ledger.folder)
            profiles = attrs.evolve(profiles, cloner=broken)
        async with profiles.open_clone(session_id) as clone:
            if fault is Fault.NOT_LOGGED_IN:
                for file in clone.path.glob("cookies.sqlite*"):
                    file.unlink()
            yield clone

    async def is_current(self, clone: Clone) -> bool:
        """Tell whether a clone is what the master is."""
        return await self.profiles.is_current(clone)


@attrs.frozen(kw_only=True)
class FaultyBrowsers:
    """Hosts that are spoilt before they start. Satisfies `ports.Browsers`."""

    hosts: BrowserHosts
    spoil: Spoil
    cycles: Cycles

    @contextlib.asynccontextmanager
    async def open_browser(self, session_id: str) -> AsyncIterator[Browser]:
        """Own a host."""
        hosts = self.spoil(self.hosts, self.cycles(session_id))
        async with hosts.open_browser(session_id) as browser:
            yield browser


@contextlib.asynccontextmanager
async def open_faulty_world(
    config: SupervisorConfig, broken: Path, cycles: Cycles, *, browserless: bool
) -> AsyncIterator[tuple[World, RealWorld]]:
    """Open the real world; yield it with faults, and as it is."""
    async with open_world(config) as real:
        hosts = attrs.evolve(real.browsers.hosts, engine=_SLEEP) if browserless else real.browsers.hosts
        spoil = _tell_host if browserless else _spoil_real
        faulty = World(
            profiles=FaultyProfiles(profiles=real.profiles, broken=broken, cycles=cycles),
            browsers=FaultyBrowsers(hosts=hosts, spoil=spoil, cycles=cycles),
            estate=real.estate,
        )
        yield faulty, real


_SLEEP = Engine(
    name=EngineName.FIREFOX, executable=Path(shutil.which("sleep") or "/bin/sleep"), version="none"
)


def _tell_host(hosts: BrowserHosts, cycle: Cycle) -> BrowserHosts:
    moment = cycle.moment.value if cycle.moment else "never"
    return attrs.evolve(hosts, host_command=(*HOST_COMMAND, cycle.fault.value, moment))


def _spoil_real(hosts: BrowserHosts, cycle: Cycle) -> BrowserHosts:
    if cycle.fault is Fault.LAUNCH_REFUSED:
        return attrs.evolve(hosts, engine=attrs.evolve(hosts.engine, executable=Path("/bin/true")))
    return hosts


_SIGNALS: Mapping[Fault, tuple[str, signal.Signals]] = {
    Fault.HOST_KILLED: ("actors.browser.host", signal.SIGKILL),
    Fault.STOPPED: ("actors.browser.host", signal.SIGSTOP),
    Fault.BROWSER_KILLED: ("firefox", signal.SIGKILL),
}


def strike(real: RealWorld, cycle: Cycle) -> bool:
    """Send the fault's signal to the process of the session that it is for; return whether there was one.

    Blocks for some milliseconds.
    """
    has_struck = False
    word, number = _SIGNALS[cycle.fault]
    marker = f"{real.profiles.ledger.owner}.{cycle.session_id}"
    for process, mark in marked_processes():
        with contextlib.suppress(Exception):  # it may end at any moment
            command = process.cmdline()
            if mark == marker and word in " ".join(command) and command[0] != "bwrap":
                os.kill(process.pid, number)
                has_struck = True
    return has_struck


def is_struck_from_outside(cycle: Cycle, *, browserless: bool) -> bool:
    """Tell whether the fault needs `strike`: a host without a browser sees to it by itself."""
    return not browserless and cycle.fault in _SIGNALS


async def strike_when_struck(real: RealWorld, cycle: Cycle) -> None:
    """Wait for the fault's moment, and a random part of a second more, and strike what is there by then."""
    await cycle.struck.wait()
    with trio.move_on_after(cycle.delay_s * STRIKE_WITHIN):
        await cycle.ended.wait()
        return
    while not (await trio.to_thread.run_sync(strike, real, cycle) or cycle.ended.is_set()):
        await trio.sleep(_LOOK_AGAIN_S)
