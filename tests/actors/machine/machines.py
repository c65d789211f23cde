"""Local machines for tests: real ledgers, clones and processes, with puppets as browser hosts."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from greenroom.actors.browser.cells.marks import end_marked, own_processes, pids_of
from greenroom.actors.browser.client.pool import HostPool
from greenroom.actors.ledger import open_ledger
from greenroom.actors.ledger.entry import marker_of
from greenroom.actors.machine.bundles import Bundles
from greenroom.actors.machine.local import LocalMachine, open_local_machine
from greenroom.actors.machine.site import SiteAddress
from greenroom.actors.machine.workspace import LocalWorkspace
from greenroom.actors.profile import ProfileCloner
from greenroom.actors.profile.store import ProfileStore
from greenroom.actors.resources import Budget, Needs
from tests.actors.browser.scripted_hosts import PUPPET, script_hosts
from tests.actors.profile.profile_trees import make_profile
from tests.patience import patience

AMPLE = Budget(memory_bytes=1 << 40, processes=1000, disk_bytes=1 << 40)
NOTHING = Needs(disk_bytes=0, inodes=0, memory_bytes=0, file_descriptors=0, pids=0)
# Nobody listens there.
NOWHERE = SiteAddress(name="The site", host="127.0.0.1", port=1)


@contextlib.asynccontextmanager
async def open_puppet_machine(
    folder: Path, script: str = PUPPET, *, sandbox: str = "none"
) -> AsyncIterator[LocalMachine]:
    """Open a machine with a small master, whose hosts run `script`. Check at the end that nothing is left."""
    with trio.fail_after(patience(30)):
        async with open_local_machine(
            script_hosts(folder, script, sandbox=sandbox),
            profiles=profiles_in(folder),
            clones_dir=folder / "state",
            sessions_per_host=2,
            budget=AMPLE,
            site=NOWHERE,
            login_host=HOST,
            bundles_dir=folder / "bundles",
        ) as machine:
            yield attrs.evolve(machine, needs=NOTHING)
    assert own_processes() == []
    assert list((folder / "state").iterdir()) == []


@contextlib.asynccontextmanager
async def open_hostless_machine(folder: Path) -> AsyncIterator[LocalMachine]:
    """Open such a machine that starts no host ahead of time: it owns nothing but workspaces."""
    profiles = profiles_in(folder)
    async with open_ledger(folder / "state", end_marked) as ledger, trio.open_nursery() as nursery:
        hosts = script_hosts(folder, PUPPET, ledger=ledger)
        yield LocalMachine(
            cloner=ProfileCloner(master=profiles.default, clones_dir=ledger.folder),
            store=profiles,
            ledger=ledger,
            pool=HostPool(hosts=hosts, sessions_per_host=1, budget=AMPLE, nursery=nursery),
            site=NOWHERE,
            bundles=Bundles(folder / "bundles"),
            login_host=HOST,
            needs=NOTHING,
        )


HOST = "site.test"


def profiles_in(folder: Path) -> ProfileStore:
    """Return a store whose default profile is small."""
    return ProfileStore(default=make_profile(folder / "master"), folder=folder / "profiles")


def clone_of(workspace: LocalWorkspace) -> Path:
    """Return the path of a workspace's clone."""
    return Path(workspace.entry.clone)


def assert_nothing_of(machine: LocalMachine, session: str) -> None:
    """Fail if anything of a session is left: a process, directory, entry, promise, or place in a host."""
    assert pids_of(marker_of(machine.ledger.owner, session)) == []
    assert [path.name for path in machine.ledger.folder.iterdir() if path.name.startswith(session)] == []
    assert not (machine.ledger.folder / "ledger" / f"{session}.json").exists()
    assert session not in {entry.session for entry in machine.ledger.entries}
    assert machine.promises.outstanding == NOTHING
    assert all(session not in member.sessions for member in machine.pool._members)
