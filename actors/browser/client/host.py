"""Browser hosts: starting one, and running a session's browser in it."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import attrs
import trio

from greenroom.actors.browser.cells.binds import Private
from greenroom.actors.browser.cells.cell import Cell, open_cell
from greenroom.actors.browser.cells.environment import python_command
from greenroom.actors.browser.cells.host import host_view
from greenroom.actors.browser.cells.sandbox import Sandbox
from greenroom.actors.browser.cells.scratch import open_scratch
from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.link import HostLink
from greenroom.actors.browser.client.transport import CellTransport
from greenroom.actors.browser.engines import Engine
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.ledger import Entry, Ledger
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.sampler import Sampler
from greenroom.actors.owner import HOST_PREFIX, OWNER
from greenroom.actors.threads import Work, in_thread

HOST_COMMAND = python_command("greenroom.actors.browser.host")


def new_host_id() -> str:
    """Return an id for a new host. It differs from all sessions' ids."""
    return f"{HOST_PREFIX}{uuid.uuid4().hex[:12]}"


@attrs.frozen(kw_only=True, repr=False)
class BrowserHosts:
    """Starts browser hosts, each a process in a cell of its own.

    A `HostPool` shares them among sessions. With a `ledger`, the next daemon after a crash can end what is
    left of the hosts and their browsers, and sandboxed hosts see only what they need. `profiles` are further
    directories with profiles, and `private` is what no browser may see. `proxies` are those of some profiles,
    by their names, in place of `proxy`. The machine's `sampler` finds their
    processes.
    """

    engine: Engine
    sandbox: Sandbox
    proxy: Proxy | None = None
    proxies: Mapping[str, Proxy] = attrs.field(factory=dict)
    ledger: Ledger | None = None
    private: Private = attrs.field(factory=Private)
    profiles: Sequence[Path] = ()
    host_command: Sequence[str] = HOST_COMMAND
    sampler: Sampler = attrs.field(factory=Sampler)

    @property
    def about(self) -> MachineInfo:
        """The engine and the sandbox that browsers run with."""
        return MachineInfo(
            engine=self.engine.name.value, engine_version=self.engine.version, sandbox=self.sandbox.value
        )

    @contextlib.asynccontextmanager
    async def open_browser(self, name: str) -> AsyncIterator[ScraplingFetcherAdapter]:
        """Open a browser in a host of its own. It belongs to no session and is listed under `name`.

        Raises `BrowserLost` on entering if no host starts. The block's own error comes out in an exception
        group.
        """
        listed = self.ledger.hold(name) if self.ledger else contextlib.nullcontext()
        async with (
            self.open_host(new_host_id()) as host,
            listed as entry,
            host.open_browser(name, entry) as browser,
        ):
            yield browser

    @contextlib.asynccontextmanager
    async def open_host(self, host_id: str) -> AsyncIterator["BrowserHost"]:
        """Run a host for the length of the block. No session may be left in it at the end.

        Raises `BrowserLost` on entering if no host starts. The block's own error comes out in an exception
        group.
        """
        async with self._open_cell(host_id) as cell, trio.open_nursery() as nursery:
            known = [self.proxy, *self.proxies.values()]
            secrets = [text for proxy in known if proxy for text in (proxy.username, proxy.password)]
            link = HostLink(host=host_id, transport=CellTransport(cell), secrets=tuple(secrets))
            nursery.start_soon(link.run)
            try:
                yield BrowserHost(hosts=self, link=link, cell=cell)
            finally:
                link.lose("the host is not needed any more")
                link.running.cancel(reason="the host is not needed any more")

    @contextlib.asynccontextmanager
    async def _open_cell(self, host_id: str) -> AsyncIterator[Cell]:
        if self.ledger is None:
            async with open_cell(self.host_command, self.sandbox, sampler=self.sampler) as cell:
                yield cell
            return
        async with (
            self.ledger.hold(host_id) as entry,
            open_cell(
                self.host_command,
                self.sandbox,
                marker=entry.marker,
                scratch=Path(entry.scratch),
                view=await in_thread(Work.ROOM, self.look),
                sampler=self.sampler,
            ) as cell,
        ):
            await self.ledger.add_processes(host_id, cell.pids())
            yield cell

    def look(self) -> list[str]:
        """Return what a sandboxed host sees; see `host_view`. Blocks. Raises `SandboxUnavailable`."""
        folders, hidden = list[Path](), list[Path]()
        if self.ledger is not None:
            # Only what stays: hiding a session's directory that has gone meanwhile would create a file there.
            folders, hidden = [self.ledger.folder], self.ledger.own_paths()
        return host_view(
            command=self.host_command,
            executable=self.engine.executable,
            profiles=[*folders, *self.profiles],
            hidden=hidden,
            private=self.private,
        )


@attrs.frozen(kw_only=True, repr=False)
class BrowserHost:
    """A running host."""

    _hosts: BrowserHosts
    link: HostLink
    cell: Cell

    @contextlib.asynccontextmanager
    async def open_browser(
        self, session_id: str, entry: Entry | None = None
    ) -> AsyncIterator[ScraplingFetcherAdapter]:
        """Own a place in this host for the length of the block, and the browser launched there.

        `entry` lists its processes and temporary files; without one, nobody else knows about them. Leaving
        the block kills what still runs of the browser and returns once nothing is left. The host goes on,
        unless it doesn't release the session. Raises `BrowserLost` on entering if there is no room for
        temporary files.
        """
        async with open_scratch(Path(entry.scratch) if entry else None) as scratch:
            adapter = ScraplingFetcherAdapter(
                session=session_id,
                marker=entry.marker if entry else f"{OWNER}.{uuid.uuid4().hex}",
                scratch=Path(scratch),
                driver_folder=self.cell.scratch,
                link=self.link,
                engine=self._hosts.engine,
                proxy=self._hosts.proxy,
                sandbox=self._hosts.sandbox,
                private=self._hosts.private,
                sampler=self._hosts.sampler,
            )
            try:
                yield adapter
            finally:
                with trio.CancelScope(shield=True):
                    await adapter.end()
