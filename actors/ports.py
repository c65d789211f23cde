"""What a session needs from the world, as interfaces: the real things and the fakes both satisfy them."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import attrs

from actors.browser.wire.messages import ImageType
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

    async def current_version(self) -> str:
        """Return the version that a clone made now would have. Raises what `open_clone` does on entering."""

    async def place_problem(self) -> str | None:
        """Return why clones could not be made whatever the master is, without a path, or None."""


@attrs.define(eq=False)
class Clone:
    """A private copy of the master profile, the directory `path`; `freed_bytes` is set on its removal.

    `version` tells the state of the master in which it was copied. `left`, set on removal too, has the names
    of the session's directories that could not be removed, normally none.
    """

    path: Path
    version: str = ""
    freed_bytes: int = 0
    left: tuple[str, ...] = ()


class Browser(Protocol):
    """A browser with one page, in a host that others may share.

    Every request raises `BrowserLost` once it is gone.
    """

    async def launch(self, profile: Path, *, headless: bool) -> None:
        """Run the browser on `profile`, a directory that nothing else uses. To be called once, first.

        Raises `EngineUnavailable` when the browser does not start.
        """

    async def rehearse(self, url: str) -> None:
        """Do what the first page of a site takes, without asking the site of `url` for anything.

        A page of it then comes sooner. Not to be given up but with the browser.
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
        there is no page any more; the browser goes on.
        """

    async def content(self) -> bytes:
        """Return the HTML of the page as it is now, in UTF-8. Raises what `screenshot` does."""

    async def probe(self) -> None:
        """Return once the browser has answered."""

    async def wait_lost(self) -> None:
        """Wait until the browser or its host is gone or stalls, noticed without anybody asking.

        Then raises `BrowserLost`, and only that.
        """

    @property
    def ended(self) -> ProcessCount:
        """How many of its processes have ended; complete once the browser's block is left."""

    async def measure(self, clone: Path) -> Usage:
        """Return what the browser and its directories use now; not its host, which may be others' too."""

    async def close(self) -> None:
        """End the browser politely: it saves its profile and quits. Returns once it has."""


@attrs.frozen(kw_only=True)
class OwnedProcess:
    """A process of a session, or of a browser host, whose id `session` is then."""

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
    """All that this supervisor owns at one moment.

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


class Site(Protocol):
    """The site that sessions open, or the proxy on the way to it."""

    async def reach(self) -> None:
        """Return if it takes a connection; nothing is asked of it. Raises `UpstreamUnreachable`."""


class Estate(Protocol):
    """Knows what is owned."""

    async def survey(self) -> Owned:
        """Look at the machine itself, not at what anybody remembers."""


class Browsers(Protocol):
    """Gives sessions browsers."""

    def open_browser(self, session_id: str) -> AbstractAsyncContextManager[Browser]:
        """Own a place in a browser host, and the browser launched there, for the length of the block.

        Leaving the block kills whatever of the browser still runs, at once, and returns when no process of it
        is left, nor can be started any more. Raises `BrowserLost`, on entering, when no host starts. An error
        out of the block itself may come out of it in an exception group.
        """


@attrs.frozen(kw_only=True)
class World:
    """What sessions are made of and go to, and who can tell what of it there is."""

    profiles: Profiles
    browsers: Browsers
    estate: Estate
    site: Site
