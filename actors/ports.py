"""What a session needs from the world, as interfaces: the real things and the fakes both satisfy them."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import attrs

from actors.lifecycle import ProcessCount
from actors.resources import Usage
from actors.verdict import Finding, Method


class Profiles(Protocol):
    """Makes private copies of the master profile."""

    def open_clone(self, session_id: str) -> AbstractAsyncContextManager["Clone"]:
        """Own a clone of the master profile for the length of the block.

        Leaving the block, however that comes about, removes the clone. Raises, on entering,
        `ResourcesExhausted` when the machine has no room for it, `NotLoggedIn` when the master is missing or
        empty, `ProfileLocked` when it is in use, `ProfileUnusable` or `CloneFailed`, and then leaves nothing
        behind.
        """

    async def is_current(self, clone: "Clone") -> bool:
        """Return whether a clone made now could be made, and would be the same."""


@attrs.define(eq=False)
class Clone:
    """A private copy of the master profile, the directory `path`; `freed_bytes` is set on its removal.

    `version` tells the state of the master in which it was copied.
    """

    path: Path
    version: str = ""
    freed_bytes: int = 0


class Browser(Protocol):
    """A browser with one page, in a host of its own. Every request raises `BrowserLost` once it is gone."""

    async def launch(self, profile: Path, *, headless: bool) -> None:
        """Run the browser on `profile`, a directory that nothing else uses. To be called once, first.

        Raises `EngineUnavailable` when the browser does not start.
        """

    async def navigate(self, url: str) -> None:
        """Load `url` up to its document, not its images.

        Raises `UpstreamUnreachable` when nothing, or an HTTP 5xx, comes back.
        """

    async def refresh(self) -> None:
        """Load the current page again; otherwise like `navigate`."""

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Look at the page as it is now with one login detection method."""

    async def probe(self) -> None:
        """Return once the browser has answered."""

    async def wait_lost(self) -> None:
        """Wait until the browser or its host is gone or stalls, noticed without anybody asking.

        Then raises `BrowserLost`, and only that.
        """

    @property
    def ended(self) -> ProcessCount:
        """How many of its processes have ended; complete once the host's block is left."""

    async def measure(self, clone: Path) -> Usage:
        """Return what the browser, its host, and the directories of both use now."""

    async def close(self) -> None:
        """End the browser politely: it saves its profile and quits, then its host. Returns once they have."""


@attrs.frozen(kw_only=True)
class OwnedProcess:
    """A process of a session."""

    pid: int
    name: str
    session: str


@attrs.frozen(kw_only=True)
class OwnedDirectory:
    """A directory of a session, by its name, and the disk space that it takes in bytes."""

    name: str
    session: str
    bytes: int


@attrs.frozen(kw_only=True)
class Owned:
    """All that this supervisor owns at one moment. `entries` are the sessions that its ledger lists."""

    processes: tuple[OwnedProcess, ...] = ()
    directories: tuple[OwnedDirectory, ...] = ()
    entries: tuple[str, ...] = ()


class Estate(Protocol):
    """Knows what is owned."""

    async def survey(self) -> Owned:
        """Look at the machine itself, not at what anybody remembers."""


class Browsers(Protocol):
    """Starts browser hosts."""

    def open_host(self, session_id: str) -> AbstractAsyncContextManager[Browser]:
        """Own a host process, and the browser that it is told to launch, for the length of the block.

        Leaving the block kills whatever of it still runs, at once, and returns when no process is left.
        Raises `BrowserLost`, on entering, when no host starts. An error out of the block itself comes out
        of it in an exception group.
        """


@attrs.frozen(kw_only=True)
class World:
    """What sessions are made of, and who can tell what of it there is."""

    profiles: Profiles
    browsers: Browsers
    estate: Estate
