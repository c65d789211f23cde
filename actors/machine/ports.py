"""What sessions need from a machine, as protocols. `LocalMachine` and the tests' `FakeMachine` satisfy them.

Everything that goes in or comes out, errors included, is plain data that can be sent to another node. It
contains no paths, and pids are only for people.
"""

from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import attrs

from greenroom.actors.actions.actions import Operation
from greenroom.actors.actions.inputs import Input
from greenroom.actors.lifecycle import (
    DEFAULT_PROFILE,
    DEFAULT_USE,
    ProcessCount,
    ProfileInfo,
    ProfileUse,
    Purpose,
)
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.frame import Frame
from greenroom.actors.machine.result import Result
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.recorder.recorded import Recorded
from greenroom.actors.resources import Usage
from greenroom.actors.verdict import Finding, Method


class Machine(Protocol):
    """Gives sessions their workspaces, and reports what it owns."""

    @property
    def about(self) -> MachineInfo:
        """What it runs browsers with."""

    @property
    def hosts(self) -> tuple["HostInfo", ...]:
        """The browser hosts that run."""

    def open_workspace(
        self,
        session_id: str,
        profile: ProfileUse = DEFAULT_USE,
        *,
        purpose: Purpose = Purpose.SESSION,
        until: datetime | None = None,
    ) -> AbstractAsyncContextManager["Workspace"]:
        """Own everything that a session has on the machine. At first that is a clone of a master profile.

        In the mode WRITE, nobody else can clone that profile or write it meanwhile. A profile that may be new
        is made if it is missing, and removed again if nothing was committed. Those who are
        refused meanwhile learn the `purpose`, and `until` when the session lasts at most as it is; see
        `Workspace.put_off`.

        Leaving the block in any way kills what still runs, at once, and removes the rest. It returns once
        nothing is left or can still be started. If something can't be removed, it stays listed, and
        `CloneFailed` or `BrowserLost` is raised.

        Raises on entering, and then leaves nothing behind: `ResourcesExhausted` if the machine has no room
        for a session, `NotLoggedIn` if the master is missing or empty, `ProfileNotFound` if there is none
        of its name, `ProfileLocked` if it is in use, `ProfileUnusable`, `ProfileNotReplaced` if the master
        can't be written though the session is to write it, or `CloneFailed`. The block's own error may
        come out in an exception group.
        """

    async def profile_version(self, name: str = DEFAULT_PROFILE) -> str:
        """Return the version that a clone of a profile made now would have.

        Raises what `open_workspace` does for a master that can't be cloned.
        """

    async def profiles(self) -> tuple[ProfileInfo, ...]:
        """Return the profiles that there are, the default one first, then by name."""

    async def shortage(self, name: str = DEFAULT_PROFILE) -> str | None:
        """Return what is too scarce for one more session of a profile, as `open_workspace` would find it.

        Raises what `open_workspace` does for a master that can't be cloned.
        """

    async def place_problem(self) -> str | None:
        """Return why no clone could be made, whatever the master is, without a path; otherwise None."""

    async def reach_site(self) -> None:
        """Connect to the site, or to the proxy in front of it, and send nothing.

        Raises `UpstreamUnreachable`.
        """

    async def read_bundle(self, session_id: str) -> bytes | None:
        """Return the zip file that is kept of a session that has failed; None if there is none.

        Bundles are kept for a day, and up to 500 MB of them, over restarts too.
        """

    async def kept_bundles(self) -> frozenset[str]:
        """Return the ids of the sessions of which `read_bundle` has something."""

    async def survey(self) -> "Owned":
        """Look at the machine itself, not at anybody's memory, and return what is owned."""


class Workspace(Protocol):
    """Everything that one session owns on a machine. See `Machine.open_workspace`."""

    @property
    def profile_version(self) -> str:
        """The state of the master profile that the clone was made from."""

    async def launch(self, *, headless: bool) -> "Browser":
        """Run a browser on the clone, in a host that others may share. Call it once.

        If the host is lost before the browser runs, there is a second try, in a new host. Raises
        `EngineUnavailable` if the browser does not start, and `BrowserLost` if its host does not.
        """

    async def commit(self) -> int:
        """Make the clone the master profile's next generation; return its number.

        Only in the mode WRITE, and once the browser has quit. Don't cancel it. Raises `ProfileNotReplaced`,
        `ProfileLocked`, `ProfileUnusable` or `CloneFailed`, with the master as it was.
        """

    async def put_off(self, until: datetime) -> None:
        """Let those who are refused the master know that the session now lasts until then at most.

        Does nothing for a session that only reads.
        """

    async def wait_quit(self) -> bool:
        """Wait until no process has the clone open as its profile; return whether its browser has saved it.

        One that was killed, or has crashed, has not.
        """

    async def has_rotated(self) -> bool:
        """Return whether a login cookie of the clone has another value than when it was made.

        Only once the browser has quit. False if that can't be found out.
        """

    @property
    def recording(self) -> "Recording":
        """Where the session's recorder keeps what it needs."""

    async def measure(self) -> Usage:
        """Return what the browser and the session's directories use now. The host is not included.

        Raises `ScanFailed`, which has been logged already, if the machine's processes can't be seen.
        """

    @property
    def ended(self) -> ProcessCount:
        """How many of the browser's processes have ended. Complete once the workspace has closed."""

    @property
    def freed_bytes(self) -> int:
        """How much disk space removing the clone has freed; 0 until then."""

    @property
    def left(self) -> tuple[str, ...]:
        """The names of what could not be removed, normally none. Known once the workspace has closed."""


class Recording(Protocol):
    """What is kept of a session in case that it fails. See `actors.recorder`."""

    async def add_picture(self, jpeg: bytes, *, keep_s: float) -> None:
        """Keep a picture for so long, or until there are over 10 MB of them. Raises `OSError`."""

    async def keep(self, make_files: Callable[[], Mapping[str, bytes]]) -> None:
        """Make a bundle of files and the pictures, which outlives the session. Raises `OSError`.

        Making the files may take long: it holds up nobody else.
        """


class Browser(Protocol):
    """A session's browser with one page.

    Every request raises `BrowserLost` once it is gone.
    """

    async def rehearse(self, url: str) -> None:
        """Do the work that a site's first page takes, without contacting the site of `url`.

        The site's first real page then comes sooner. Cancel it only by ending the browser.
        """

    async def restore(self, state: StorageState) -> None:
        """Take in cookies and what sites keep, in place of what they keep now. Contacts no site.

        Raises `ActionFailed` if the browser does not take it.
        """

    async def navigate(self, url: str) -> None:
        """Load `url` up to its document, not its images.

        Raises `UpstreamUnreachable` when nothing, or an HTTP 5xx, comes back.
        """

    async def refresh(self) -> None:
        """Load the current page again. Otherwise like `navigate`."""

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:
        """Inspect the page as it is now with one login detection method."""

    async def perform(self, operation: Operation, *, timeout_s: float) -> Result:
        """Carry out an operation on a page, in at most `timeout_s` or a little more.

        An action's result is an `Outcome` in JSON; a reading's is what its class says. Raises a kind of
        `ActionFailed`; the browser keeps running.
        """

    def view(self, *, fps: float, quality: int) -> AbstractAsyncContextManager["Frames"]:
        """Watch the selected page: at most `fps` pictures a second, as JPEGs of that quality, 1 to 100.

        Pictures are only taken during the block, and only while they are received. One block at a time.
        """

    async def record(self, *, picture: bool, page: bool) -> Recorded:
        """Return the latest of the consoles and the network; with a `picture`, or the whole `page`.

        What takes too long is left out. Raises `ActionFailed` if that is everything.
        """

    async def do_by_hand(self, given: Input) -> None:
        """Do something in the page as a person does it, beside the operation that runs, if one does.

        Raises a kind of `ActionFailed`; `InvalidAction` if there is no such key.
        """

    async def put_file(self, name: str, content: AsyncIterable[bytes]) -> None:
        """Keep a file, of at most 50 MB, where the action `upload` finds it by its name.

        It replaces one of the same name. Raises `PageTooLarge` or `InvalidAction`, with nothing kept.
        """

    def connect(self) -> AbstractAsyncContextManager["DriverConnection"]:
        """Open a connection to the driver that controls the browser, as a Playwright client has one.

        It has the driver's rights: whatever comes from a client must be filtered. Raises `ActionFailed` on
        entering if there can be no connection.
        """

    async def probe(self) -> None:
        """Return once the browser has answered."""

    async def wait_navigated(self) -> None:
        """Wait until a page has gone to another document since this returned last. For one task at a time."""

    async def wait_lost(self) -> None:
        """Wait until the browser or its host is gone or stalls, then raise `BrowserLost`.

        This needs no request to be noticed. Nothing else is raised.
        """

    async def close(self) -> None:
        """End the browser politely: it saves its profile and quits. Returns once it has."""


class Frames(Protocol):
    """Pictures of a page. See `Browser.view`."""

    async def receive(self) -> Frame:
        """Return the next picture that differs from the last one.

        Raises `BrowserLost`, or `ActionFailed` if there can be no pictures though the browser is well.
        """


class MessageTooLarge(Exception):
    """A message from a driver has more bytes than a client may be sent."""


class DriverConnection(Protocol):
    """Messages to and from a browser's driver: JSON, without zero bytes. See `Browser.connect`.

    One task may send while another receives.
    """

    @property
    def browser(self) -> str:
        """The guid by which the driver knows the session's browser."""

    @property
    def may_trace(self) -> bool:
        """Whether traces are for clients: they show the proxy's password, if there is one."""

    async def send(self, message: bytes) -> None:
        """Send a message. Once the connection is over, it is lost: `receive` tells."""

    async def receive(self) -> bytes:
        """Return the next message, or b"" once the connection is over, whoever ended it.

        Raises `MessageTooLarge`.
        """

    async def keep_dialogs(self) -> None:
        """Have dialogs of pages wait for an answer from now on, instead of being dismissed at once."""


@attrs.frozen(kw_only=True)
class HostInfo:
    """A browser host, and how many sessions it has."""

    id: str
    sessions: int


@attrs.frozen(kw_only=True)
class OwnedProcess:
    """A process of a session or, with the host's id in `session`, of a browser host.

    The pid is for people to look up on the surveyed machine; it means nothing elsewhere.
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
    """Everything that a machine owns for its supervisor at one moment.

    `entries` are the sessions and hosts that its ledger lists. `hosts` are the hosts in use or kept ready.
    """

    processes: tuple[OwnedProcess, ...] = ()
    directories: tuple[OwnedDirectory, ...] = ()
    entries: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()

    def kinds_of(self, session: str) -> tuple[str, ...]:
        """Return which kinds of things exist of one session."""
        kinds = {"processes": any(process.session == session for process in self.processes)}
        for directory in self.directories:
            if directory.session == session:
                kinds["clone" if directory.name == session else "scratch"] = True
        kinds["ledger entry"] = session in self.entries
        return tuple(kind for kind, is_there in kinds.items() if is_there)
