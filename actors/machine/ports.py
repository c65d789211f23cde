"""What sessions need of a machine, as protocols. `LocalMachine` and the tests' `FakeMachine` satisfy them.

All that goes in or comes out, errors included, is plain data that can cross to another node. There is no path
in it, and nobody acts on a pid.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from greenroom.actors.browser.wire.messages import ImageType
from greenroom.actors.lifecycle import ProcessCount
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.resources import Usage
from greenroom.actors.verdict import Finding, Method


class Machine(Protocol):
    """Gives sessions their workspaces, and tells what it owns."""

    @property
    def about(self) -> MachineInfo:
        """What it runs browsers with."""

    def open_workspace(self, session_id: str) -> AbstractAsyncContextManager["Workspace"]:
        """Own all that a session has on the machine, a clone of the master profile to begin with.

        Leaving the block, however that comes about, kills what still runs, at once, and removes the rest. It
        returns when nothing is left, nor can be started any more; what could not be removed stays listed, and
        raises `CloneFailed` or `BrowserLost`.

        Raises, on entering, `ResourcesExhausted` when the machine has no room for a session, `NotLoggedIn`
        when the master is missing or empty, `ProfileLocked` when it is in use, `ProfileUnusable` or
        `CloneFailed`, and then leaves nothing behind. An error out of the block itself may come out of it in
        an exception group.
        """

    async def profile_version(self) -> str:
        """Return the version that a clone made now would have.

        Raises what `open_workspace` does for a master that can't be cloned.
        """

    async def place_problem(self) -> str | None:
        """Return why clones could not be made whatever the master is, without a path, or None."""

    async def reach_site(self) -> None:
        """Return if the site, or the proxy on the way to it, takes a connection.

        Nothing is asked of it. Raises `UpstreamUnreachable`.
        """

    async def survey(self) -> "Owned":
        """Look at the machine itself for what is owned, not at what anybody remembers."""


class Workspace(Protocol):
    """All that one session owns on a machine. See `Machine.open_workspace`."""

    @property
    def profile_version(self) -> str:
        """Which state of the master profile the clone was made from."""

    async def launch(self, *, headless: bool) -> "Browser":
        """Run a browser on the clone, in a host that others may share. Call it once.

        A host that is lost before the browser runs costs only time: there is one more try, in a new host.
        Raises `EngineUnavailable` when the browser does not start, `BrowserLost` when its host does not.
        """

    async def measure(self) -> Usage:
        """Return what the browser and the session's directories use now.

        What its host uses is not the session's. Raises `ScanFailed`, which is logged already, when the
        machine's processes can't be seen.
        """

    @property
    def ended(self) -> ProcessCount:
        """How many of the browser's processes have ended; complete once the workspace is left."""

    @property
    def freed_bytes(self) -> int:
        """How much disk space the removal of the clone has freed; 0 until then."""

    @property
    def left(self) -> tuple[str, ...]:
        """The names of what could not be removed, normally none; known once the workspace is left."""


class Browser(Protocol):
    """A session's browser with one page.

    Every request raises `BrowserLost` once it is gone.
    """

    async def rehearse(self, url: str) -> None:
        """Do what the first page of a site takes, without asking the site of `url` for anything.

        A page of it then comes sooner. Cancel it only by ending the browser.
        """

    async def navigate(self, url: str) -> None:
        """Load `url` up to its document, not its images.

        Raises `UpstreamUnreachable` when nothing, or an HTTP 5xx, comes back.
        """

    async def refresh(self) -> None:
        """Load the current page again; otherwise like `navigate`."""

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page as it is now with one login detection method."""

    async def screenshot(self, image: ImageType) -> bytes:
        """Return a picture of the part of the page that the window shows.

        Raises `ActionTimedOut`, `PageTooLarge` or another `ActionFailed` when there is none, `PageGone` when
        there is no page any more. The browser keeps running.
        """

    async def content(self) -> bytes:
        """Return the HTML of the page as it is now, in UTF-8. Raises what `screenshot` does."""

    async def probe(self) -> None:
        """Return once the browser has answered."""

    async def wait_lost(self) -> None:
        """Wait until the browser or its host is gone or stalls, noticed without anybody asking.

        Then raises `BrowserLost`, and only that.
        """

    async def close(self) -> None:
        """End the browser politely: it saves its profile and quits. Returns once it has."""


@attrs.frozen(kw_only=True)
class OwnedProcess:
    """A process of a session, or of a browser host, whose id `session` is then.

    The pid is for people to look up on the machine that was surveyed; it means nothing elsewhere.
    """

    pid: int
    name: str
    session: str


@attrs.frozen(kw_only=True)
class OwnedDirectory:
    """A directory of a session or host, by its name, and the disk space that it takes in bytes."""

    name: str
    session: str
    bytes: int


@attrs.frozen(kw_only=True)
class Owned:
    """All that a machine owns for its supervisor at one moment.

    `entries` are the sessions and hosts that its ledger lists; `hosts` those that are in use, or kept ready.
    """

    processes: tuple[OwnedProcess, ...] = ()
    directories: tuple[OwnedDirectory, ...] = ()
    entries: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()

    def kinds_of(self, session: str) -> tuple[str, ...]:
        """Return the kinds of what there is of one session."""
        kinds = {"processes": any(process.session == session for process in self.processes)}
        for directory in self.directories:
            if directory.session == session:
                kinds["clone" if directory.name == session else "scratch"] = True
        kinds["ledger entry"] = session in self.entries
        return tuple(kind for kind, is_there in kinds.items() if is_there)
