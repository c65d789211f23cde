"""This machine: its profiles, its browser hosts, and the ledger of what sessions own on it."""

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Collection
from datetime import datetime
from pathlib import Path

import attrs
import structlog
import trio

from greenroom.actors.browser.cells.marks import end_marked
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.browser.client.pool import HostPool, open_pool
from greenroom.actors.bulkhead import contain
from greenroom.actors.errors import ResourcesExhausted
from greenroom.actors.events import HostEvent
from greenroom.actors.ledger import Ledger, open_ledger
from greenroom.actors.lifecycle import (
    DEFAULT_PROFILE,
    DEFAULT_USE,
    ProfileInfo,
    ProfileMode,
    ProfileUse,
    Purpose,
)
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.bundles import Bundles, LocalRecording
from greenroom.actors.machine.committer import Committer, open_committer
from greenroom.actors.machine.ports import HostInfo, Owned
from greenroom.actors.machine.site import SiteAddress
from greenroom.actors.machine.survey import survey
from greenroom.actors.machine.workspace import LocalWorkspace
from greenroom.actors.profile import ProfileCloner
from greenroom.actors.profile.cloner import Look
from greenroom.actors.profile.compatibility import refuse_newer
from greenroom.actors.profile.copy import DISPENSABLE, MARKS
from greenroom.actors.profile.describing import describe
from greenroom.actors.profile.store import ProfileStore
from greenroom.actors.resources import Budget, Needs, Promises, disk_usage, shortage
from greenroom.actors.threads import Work, finish_in_thread, in_thread

_MEASURE_S = 5.0

_log = structlog.get_logger("greenroom.machine")


@attrs.frozen(kw_only=True, repr=False)
class LocalMachine:
    """Workspaces on this machine, each listed in the ledger before it exists. Satisfies `ports.Machine`.

    A session is admitted if there is room for what it `needs`, besides what was promised to earlier sessions
    and not yet taken by them. Only the workspace holds its ledger entry. `cloner` is the default profile's.
    What is committed must have a login at `login_host`.
    """

    cloner: ProfileCloner
    store: ProfileStore
    ledger: Ledger
    pool: HostPool
    site: SiteAddress
    bundles: Bundles
    login_host: str = ""
    needs: Needs = attrs.field(factory=Needs)
    promises: Promises = attrs.field(factory=Promises)

    @property
    def about(self) -> MachineInfo:
        """See `ports.Machine`."""
        return self.pool.hosts.about

    @contextlib.asynccontextmanager
    async def open_workspace(
        self,
        session_id: str,
        profile: ProfileUse = DEFAULT_USE,
        *,
        purpose: Purpose = Purpose.SESSION,
        until: datetime | None = None,
    ) -> AsyncIterator[LocalWorkspace]:
        """Open a workspace, unless the machine is short of what a session needs; see `ports.Machine`."""
        cloner = self._cloner_of(profile.name)
        if profile.mode is ProfileMode.READ:
            async with self._open(session_id, cloner, None) as workspace:
                yield workspace
        else:
            cloner = cloner.for_writer(may_be_empty=profile.may_be_new)
            await in_thread(Work.MASTER, _check_writable, cloner)
            async with (
                open_committer(
                    cloner.master,
                    f"{purpose.value} {session_id}",
                    host=self.login_host,
                    may_be_new=profile.may_be_new,
                    until=until,
                ) as committer,
                self._open(session_id, cloner, committer) as workspace,
            ):
                yield workspace

    def _cloner_of(self, name: str) -> ProfileCloner:
        if name == DEFAULT_PROFILE:
            return self.cloner
        return self.cloner.for_profile(name, self.store.path_of(name))

    @contextlib.asynccontextmanager
    async def _open(
        self, session_id: str, cloner: ProfileCloner, committer: Committer | None
    ) -> AsyncIterator[LocalWorkspace]:
        look = await in_thread(Work.MASTER, cloner.look)
        needs = self._needs_of(look)
        with self.promises.promise(session_id, needs) as promised:
            if lacking := await self._lacking(needs, promised):
                raise ResourcesExhausted(lacking)
            async with self.ledger.hold(session_id) as entry:
                place = contextlib.AsyncExitStack()
                workspace = LocalWorkspace(
                    entry=entry,
                    recording=LocalRecording(session_id, Path(entry.scratch), self.bundles),
                    profile_version=look.version,
                    pool=self.pool,
                    promises=self.promises,
                    place=place,
                    committer=committer,
                    proxy=self.pool.hosts.proxies.get(cloner.name),
                    login_host=self.login_host,
                )
                try:
                    async with cloner.open_clone(session_id) as clone:
                        self.promises.clone_made(session_id)
                        workspace.login = await in_thread(Work.MASTER, workspace.read_login)
                        try:
                            async with place:  # empty until the launch
                                yield workspace
                        finally:
                            workspace.freed_bytes = await _measure(clone)
                finally:
                    workspace.left = await self.ledger.left_of(session_id)

    def _needs_of(self, look: Look) -> Needs:
        return attrs.evolve(self.needs, disk_bytes=self.needs.disk_bytes + look.bytes)

    async def _lacking(self, needs: Needs, promised: Needs) -> str | None:
        check = functools.partial(shortage, self.ledger.folder, needs, promised=promised)
        return await in_thread(Work.ROOM, check)

    async def shortage(self, name: str = DEFAULT_PROFILE) -> str | None:
        """See `ports.Machine`."""
        look = await in_thread(Work.MASTER, self._cloner_of(name).look)
        return await self._lacking(self._needs_of(look), self.promises.outstanding)

    @property
    def hosts(self) -> tuple[HostInfo, ...]:
        """See `ports.Machine`."""
        return self.pool.running

    async def read_bundle(self, session_id: str) -> bytes | None:
        """See `ports.Machine`."""
        return await self.bundles.read(session_id)

    async def kept_bundles(self) -> frozenset[str]:
        """See `ports.Machine`."""
        return await self.bundles.kept()

    async def profile_version(self, name: str = DEFAULT_PROFILE) -> str:
        """See `ports.Machine`."""
        return await in_thread(Work.MASTER, self._cloner_of(name).look_at_version)

    async def profiles(self) -> tuple[ProfileInfo, ...]:
        """See `ports.Machine`."""
        return await in_thread(Work.MASTER, self._look_at_profiles)

    def _look_at_profiles(self) -> tuple[ProfileInfo, ...]:
        return tuple(self._look_at(name) for name in self.store.names())

    def _look_at(self, name: str) -> ProfileInfo:
        """Describe a profile; what is wrong with one keeps nobody from seeing the others."""
        try:
            return describe(self._cloner_of(name), self.login_host)
        except Exception as exc:
            return ProfileInfo(name=name, problem=str(contain(exc, _log, "a profile can't be looked at")))

    async def place_problem(self) -> str | None:
        """See `ports.Machine`."""
        return await self.ledger.problem()

    async def reach_site(self) -> None:
        """See `ports.Machine`."""
        await self.site.reach()

    async def survey(self) -> Owned:
        """See `ports.Machine`. Raises what `survey` does."""
        hosts = self.pool.ids
        owned = await survey(self.ledger, self.pool.hosts.sampler)
        return attrs.evolve(owned, hosts=hosts | self.pool.ids)  # those that came or went meanwhile, too


@contextlib.asynccontextmanager
async def open_local_machine(
    browsers: BrowserHosts,
    *,
    profiles: ProfileStore,
    clones_dir: Path,
    sessions_per_host: int,
    budget: Budget,
    site: SiteAddress,
    login_host: str,
    bundles_dir: Path,
    not_cloned: Collection[str] = DISPENSABLE,
    tell: Callable[[HostEvent], None] = lambda _: None,
) -> AsyncIterator[LocalMachine]:
    """Open this machine for sessions in `clones_dir`, after ending what dead daemons left there.

    Empty profiles that they made for a first login are removed, too.

    No workspace may be open at the end of the block. Bundles are kept in `bundles_dir`. Logins count at
    `login_host`. What profiles have under the names in `not_cloned` is not copied. `budget` limits each
    browser host; `tell` hears what becomes of them. Raises `CloneFailed` if `clones_dir` can't be written,
    and `ProfileUnusable` if no browser could use the default profile.
    """
    async with (
        open_ledger(clones_dir, end_marked) as ledger,
        open_pool(
            attrs.evolve(browsers, ledger=ledger),
            sessions_per_host=sessions_per_host,
            budget=budget,
            tell=tell,
        ) as pool,
    ):
        await in_thread(Work.MASTER, _sweep, profiles)
        cloner = ProfileCloner(
            master=profiles.default,
            clones_dir=ledger.folder,
            engine_version=browsers.engine.version,
            leave_out=MARKS | set(not_cloned),
        )
        yield LocalMachine(
            cloner=cloner,
            store=profiles,
            ledger=ledger,
            pool=pool,
            site=site,
            bundles=Bundles(bundles_dir),
            login_host=login_host,
        )


def _check_writable(cloner: ProfileCloner) -> None:
    if not (cloner.may_be_empty and not os.path.lexists(cloner.master)):
        cloner.look_at_version()
        refuse_newer(cloner.master, cloner.engine_version)


def _sweep(profiles: ProfileStore) -> None:
    """Remove what a daemon has left of profiles that it made. What fails is left to the next start."""
    try:
        for name in profiles.sweep():
            _log.info("removed an empty profile: its first login was interrupted", profile=name)
    except Exception as exc:
        contain(exc, _log, "the profiles could not be swept")


async def _measure(clone: Path) -> int:
    """Return a clone's size on disk; 0 if the disk does not answer in time."""
    with contextlib.suppress(trio.TooSlowError):
        return await finish_in_thread(Work.REMOVAL, disk_usage, clone, within_s=_MEASURE_S)
    return 0
