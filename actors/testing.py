"""A machine without browsers, disks and threads, for tests of code that uses sessions.

Everything happens in virtual time: use it with Trio's autojump clock. `FakeMachine` satisfies the protocols
of `greenroom.actors.machine.ports`, so a type checker notices if it and the real machine drift apart.
"""

import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from datetime import datetime

import attrs
import msgspec
import trio

from greenroom.actors.actions.actions import Navigate, Operation
from greenroom.actors.actions.inputs import Input
from greenroom.actors.actions.readings import Fetch, Html, Pdf, Reading, Screenshot, Snapshot, Storage
from greenroom.actors.actions.results import Outcome, PageInfo
from greenroom.actors.errors import ActionTimedOut, BrowserLost, GreenroomError, ProfileNotFound
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
from greenroom.actors.machine.ports import HostInfo, Owned, OwnedDirectory, OwnedProcess
from greenroom.actors.machine.result import Result
from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.recorder.recorded import Recorded
from greenroom.actors.resources import Usage
from greenroom.actors.testing_driver import FakeDriver
from greenroom.actors.verdict import Evidence, Finding, Gate, LoginReason, LoginState, Method, Strength


@attrs.define(eq=False, kw_only=True, repr=False)
class FakeMachine:
    """A machine that does what the test says. Satisfies `ports.Machine`.

    Times are seconds; `math.inf` means forever. `clone_error`, `launch_error`, `navigate_error`,
    `action_error` and `connect_error` are each raised at the end of that step, `sample_error` by whatever
    only looks: samples, surveys, and the checks of profile and place. `clones` and `browsers` hold what
    exists now, by session. Both are empty if nothing was left behind; with `keeps_clones`, clones stay. Set
    `page`, and the `gate` in front of it, for the verdict. Set `version` to change the master profile, which
    makes earlier clones out of date. `looks` counts the inspections of pages. `uses` has each session's
    profile, `committed` the sessions whose clones became the master. There is every profile that is not
    `missing`.
    """

    clone_s: float = 0
    launch_s: float = 0
    navigate_s: float = 0
    inspect_s: float = 0
    close_s: float = 0
    commit_s: float = 0
    remove_s: float = 0
    page: LoginState = LoginState.LOGGED_IN
    gate: Gate | None = None
    action_s: float = 0
    hand_s: float = 0
    view_error: Exception | None = None
    record_s: float = 0
    record_error: Exception | None = None
    keep_error: Exception | None = None
    console: list[str] = attrs.field(factory=list)
    value: object = None
    picture: bytes = b"a picture"
    html: bytes = b"<!doctype html><p>a page"
    probe_s: float = 0
    version: str = "1"
    clone_error: Exception | None = None
    launch_error: Exception | None = None
    navigate_error: Exception | None = None
    action_error: Exception | None = None
    connect_error: Exception | None = None
    restore_error: Exception | None = None
    commit_error: Exception | None = None
    remove_error: GreenroomError | None = None
    keeps_clones: bool = False
    rotates: bool = False
    missing: frozenset[str] = frozenset()
    known: tuple[ProfileInfo, ...] = (ProfileInfo(name=DEFAULT_PROFILE),)
    sample_error: Exception | None = None
    survey_s: float = 0
    reach_s: float = 0
    site_error: GreenroomError | None = None
    no_place: str | None = None
    scarce: str | None = None
    usage: Usage = attrs.field(
        factory=lambda: Usage(memory_bytes=700 << 20, processes=2, disk_bytes=40 << 20)
    )
    about: MachineInfo = attrs.field(
        factory=lambda: MachineInfo(engine="fake", engine_version="1", sandbox="none")
    )
    bundles: dict[str, dict[str, bytes]] = attrs.field(factory=dict, init=False)
    pictures: list[bytes] = attrs.field(factory=list, init=False)
    looks: int = attrs.field(default=0, init=False)
    uses: dict[str, ProfileUse] = attrs.field(factory=dict, init=False)
    untils: dict[str, datetime | None] = attrs.field(factory=dict, init=False)
    committed: list[str] = attrs.field(factory=list, init=False)
    clones: set[str] = attrs.field(factory=set, init=False)
    browsers: dict[str, "FakeBrowser"] = attrs.field(factory=dict, init=False)

    @property
    def hosts(self) -> tuple[HostInfo, ...]:
        """One host with all browsers."""
        return (HostInfo(id="host", sessions=len(self.browsers)),)

    @contextlib.asynccontextmanager
    async def open_workspace(
        self,
        session_id: str,
        profile: ProfileUse = DEFAULT_USE,
        *,
        purpose: Purpose = Purpose.SESSION,  # noqa: ARG002  # the protocol's signature
        until: datetime | None = None,
    ) -> AsyncIterator["FakeWorkspace"]:
        """See `ports.Machine`. There is a nursery around the block, as other machines may have one."""
        if not profile.may_be_new:
            self._find(profile.name)
        self.uses[session_id], self.untils[session_id] = profile, until
        workspace = FakeWorkspace(
            machine=self, session_id=session_id, profile_version=self._version_of(profile.name)
        )
        self.clones.add(session_id)
        try:
            await _take(self.clone_s, self.clone_error)
            try:
                async with trio.open_nursery():
                    yield workspace
            finally:
                if browser := self.browsers.pop(session_id, None):
                    workspace.ended = browser.end()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.remove_s)
            if self.keeps_clones:
                workspace.left = (session_id,)
            else:
                self.clones.remove(session_id)
                workspace.freed_bytes = self.usage.disk_bytes
            if self.remove_error is not None:
                raise self.remove_error

    async def read_bundle(self, session_id: str) -> bytes | None:
        """Return a bundle of `bundles` as JSON."""
        bundle = self.bundles.get(session_id)
        return None if bundle is None else msgspec.json.encode(bundle)

    async def kept_bundles(self) -> frozenset[str]:
        """Return the ids in `bundles`."""
        return frozenset(self.bundles)

    def _find(self, profile: str) -> None:
        if profile in self.missing:
            raise ProfileNotFound(profile)

    async def profile_version(self, name: str = DEFAULT_PROFILE) -> str:
        """See `ports.Machine`."""
        self._find(name)
        await _take(0, self.sample_error or self.clone_error)
        return self._version_of(name)

    def _version_of(self, profile: str) -> str:
        return self.version if profile == DEFAULT_PROFILE else f"{self.version} of {profile}"

    async def profiles(self) -> tuple[ProfileInfo, ...]:
        """See `ports.Machine`. Those that are `known`."""
        await _take(0, self.sample_error)
        return self.known

    async def shortage(self, name: str = DEFAULT_PROFILE) -> str | None:
        """See `ports.Machine`. Returns what is `scarce`."""
        await self.profile_version(name)
        return self.scarce

    async def place_problem(self) -> str | None:
        """See `ports.Machine`."""
        await _take(0, self.sample_error)
        return self.no_place

    async def reach_site(self) -> None:
        """Take `reach_s`, then raise the `site_error`, if any."""
        await _take(self.reach_s, self.site_error)

    async def survey(self) -> Owned:
        """See `ports.Machine`. Takes `survey_s`; finds two processes per browser, one directory per clone."""
        await _take(self.survey_s / 2, self.sample_error)
        owned = self._survey()
        await _take(self.survey_s / 2, None)
        return owned

    def _survey(self) -> Owned:
        processes = [
            OwnedProcess(pid=2 * number + half, name=name, session=session)
            for number, session in enumerate(self.browsers, start=1)
            for half, name in enumerate(("host", "browser"))
        ]
        directories = [
            OwnedDirectory(name=session, session=session, bytes=self.usage.disk_bytes)
            for session in self.clones
        ]
        return Owned(processes=tuple(processes), directories=tuple(directories), entries=tuple(self.clones))


@attrs.define(eq=False, kw_only=True, repr=False)
class FakeWorkspace:
    """A session's workspace on a fake machine. Satisfies `ports.Workspace`."""

    machine: FakeMachine
    session_id: str
    profile_version: str
    freed_bytes: int = attrs.field(default=0, init=False)
    left: tuple[str, ...] = attrs.field(default=(), init=False)
    ended: ProcessCount = attrs.field(factory=ProcessCount, init=False)

    async def launch(self, *, headless: bool) -> "FakeBrowser":  # noqa: ARG002  # the protocol's signature
        """Take the machine's `launch_s`, then raise its `launch_error`, if any."""
        self.machine.browsers[self.session_id] = browser = FakeBrowser(machine=self.machine)
        await browser.take(self.machine.launch_s, self.machine.launch_error)
        return browser

    async def commit(self) -> int:
        """Take the machine's `commit_s`, then raise its `commit_error`, if any; `committed` has it."""
        await _take(self.machine.commit_s, self.machine.commit_error)
        self.machine.committed.append(self.session_id)
        return len(self.machine.committed)

    @property
    def recording(self) -> "FakeRecording":
        """The way to the machine's `bundles`."""
        return FakeRecording(machine=self.machine, session_id=self.session_id)

    async def put_off(self, until: datetime) -> None:
        """Remember it in the machine's `untils`."""
        await _take(0, None)
        self.machine.untils[self.session_id] = until

    async def has_rotated(self) -> bool:
        """Return the machine's `rotates`."""
        await _take(0, None)
        return self.machine.rotates

    async def wait_quit(self) -> bool:
        """Take the machine's `close_s`; return whether the browser has quit, not crashed."""
        await _take(self.machine.close_s, None)
        return self.machine.browsers[self.session_id].has_quit

    async def measure(self) -> Usage:
        """Return the machine's `usage`."""
        await _take(0, self.machine.sample_error)
        return self.machine.usage


@attrs.define(eq=False, kw_only=True, repr=False)
class FakeBrowser:
    """A browser on a fake machine. Satisfies `ports.Browser`.

    `closed_politely` is true if it was asked to close and had the time for it. It has as many processes as
    the machine's `usage` says.
    """

    machine: FakeMachine
    closed_politely: bool = attrs.field(default=False, init=False)
    urls: list[str] = attrs.field(factory=list, init=False)
    has_quit: bool = attrs.field(default=False, init=False)
    restored: list[StorageState] = attrs.field(factory=list, init=False)
    rehearsed: list[str] = attrs.field(factory=list, init=False)
    performed: list[Operation] = attrs.field(factory=list, init=False)
    files: dict[str, bytes] = attrs.field(factory=dict, init=False)
    views: list[tuple[float, int]] = attrs.field(factory=list, init=False)
    pictures: int = attrs.field(default=0, init=False)
    by_hand: list[Input] = attrs.field(factory=list, init=False)
    drivers: list[FakeDriver] = attrs.field(factory=list, init=False)
    _lost: trio.Event = attrs.field(factory=trio.Event, init=False)
    _navigation: trio.Event = attrs.field(factory=trio.Event, init=False)

    def crash(self) -> None:
        """Lose this browser."""
        self._lost.set()

    def quit_by_hand(self) -> None:
        """Lose this browser, because a person has closed its window."""
        self.has_quit = True
        self.crash()

    async def rehearse(self, url: str) -> None:
        """Take the machine's `navigate_s`."""
        self.rehearsed.append(url)
        await self.take(self.machine.navigate_s)

    async def restore(self, state: StorageState) -> None:
        """Remember the state in `restored`, or raise the machine's `restore_error`."""
        await self.take(0, self.machine.restore_error)
        self.restored.append(state)

    async def navigate(self, url: str) -> None:
        """Take the machine's `navigate_s`, then raise its `navigate_error`, if any."""
        self.urls.append(url)
        await self.take(self.machine.navigate_s, self.machine.navigate_error)

    async def refresh(self) -> None:
        """Take the machine's `navigate_s`, then raise its `navigate_error`, if any."""
        await self.take(self.machine.navigate_s, self.machine.navigate_error)

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:  # noqa: ARG002  # likewise
        """Take the machine's `inspect_s` and find its `page`."""
        self.machine.looks += 1
        await self.take(self.machine.inspect_s)
        return find_state(method, self.machine.page, self.machine.gate)

    async def perform(self, operation: Operation, *, timeout_s: float) -> Result:
        """Take the machine's `action_s`, `timeout_s` at most, then raise its `action_error`, if any.

        An action's value is the machine's `value`; a picture or HTML is the machine's too, and of the other
        readings there is nothing.
        """
        self.performed.append(operation)
        is_late = self.machine.action_s > timeout_s
        error = ActionTimedOut("The page did not do this in time") if is_late else self.machine.action_error
        await self.take(min(self.machine.action_s, timeout_s), error)
        match operation:
            case Screenshot() | Pdf():
                return Result.of(self.machine.picture)
            case Html() | Snapshot():
                return Result.of(self.machine.html)
            case Storage():
                return Result.of(b'{"cookies":[],"origins":[]}')
            case Fetch(url=url):
                fetched = {"status": 204, "url": url, "headers": {}, "body_base64": ""}
                return Result.of(msgspec.json.encode(fetched))
            case _ if isinstance(operation, Reading):
                return Result.of(b"[]")
        if isinstance(operation, Navigate):
            self.urls.append(operation.url)
        page = PageInfo(id=operation.page or "p1", url=self.urls[-1] if self.urls else "", title="a page")
        value = msgspec.Raw(msgspec.json.encode(self.machine.value))
        return Result.of(msgspec.json.encode(Outcome(page=page, value=value)))

    @contextlib.asynccontextmanager
    async def view(self, *, fps: float, quality: int) -> AsyncIterator["FakeFrames"]:
        """Watch the page; `views` has what was asked for, while it is."""
        asked = (fps, quality)
        self.views.append(asked)
        try:
            yield FakeFrames(browser=self, period_s=1 / fps)
        finally:
            self.views.remove(asked)

    async def record(self, *, picture: bool, page: bool) -> Recorded:
        """Take the machine's `record_s`, then raise its `record_error`, if any; return its lines."""
        await self.take(self.machine.record_s, self.machine.record_error)
        return Recorded(
            console=[{"type": "log", "text": text} for text in self.machine.console],
            network=[],
            url=self.urls[-1] if self.urls else "",
            picture=self.machine.picture if picture else None,
            screenshot=self.machine.picture if page else None,
            html=self.machine.html.decode() if page else None,
        )

    async def do_by_hand(self, given: Input) -> None:
        """Take the machine's `hand_s`, then raise its `action_error`, if any; `by_hand` has it."""
        await self.take(self.machine.hand_s, self.machine.action_error)
        self.by_hand.append(given)

    async def put_file(self, name: str, content: AsyncIterable[bytes]) -> None:
        """Keep it in `files`."""
        self.files[name] = b"".join([piece async for piece in content])

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[FakeDriver]:
        """Connect to a driver of its own, which is added to `drivers`; raise the `connect_error`, if any."""
        await self.take(0, self.machine.connect_error)
        driver = FakeDriver()
        self.drivers.append(driver)
        async with driver.open():
            yield driver

    async def probe(self) -> None:
        """Take the machine's `probe_s`."""
        await self.take(self.machine.probe_s)

    def note_navigation(self) -> None:
        """Have a page go to another document."""
        self._navigation.set()

    async def wait_navigated(self) -> None:
        """Wait for `note_navigation`."""
        await self._navigation.wait()
        self._navigation = trio.Event()

    async def wait_lost(self) -> None:
        """Wait for `crash`."""
        await self._lost.wait()
        raise BrowserLost("The browser was lost")

    async def close(self) -> None:
        """Take the machine's `close_s`."""
        await self.take(self.machine.close_s)
        self.closed_politely = True

    def end(self) -> ProcessCount:
        """Return how its processes ended."""
        count = self.machine.usage.processes
        return ProcessCount(politely=count) if self.closed_politely else ProcessCount(by_force=count)

    async def take(self, seconds: float, error: Exception | None = None) -> None:
        """Take so long, then raise `error`, if any. A crash meanwhile is raised at once."""
        if self._lost.is_set():
            await self.wait_lost()
        if seconds:
            with trio.move_on_after(seconds):
                await self.wait_lost()
        await _take(0, error)


@attrs.define(eq=False, kw_only=True, repr=False)
class FakeRecording:
    """Satisfies `ports.Recording`: fills the machine's `pictures` and `bundles`, or raises `keep_error`."""

    machine: FakeMachine
    session_id: str

    async def add_picture(self, jpeg: bytes, *, keep_s: float) -> None:  # noqa: ARG002  # likewise
        """Keep it for ever."""
        await _take(0, self.machine.keep_error)
        self.machine.pictures.append(jpeg)

    async def keep(self, make_files: Callable[[], Mapping[str, bytes]]) -> None:
        """Keep it for ever."""
        await _take(0, self.machine.keep_error)
        self.machine.bundles[self.session_id] = dict(make_files())


@attrs.define(eq=False, kw_only=True, repr=False)
class FakeFrames:
    """The pictures of a fake browser, numbered as its `pictures` counts them. Satisfies `ports.Frames`."""

    browser: FakeBrowser
    period_s: float
    _pause_s: float = attrs.field(default=0.0, init=False)

    async def receive(self) -> Frame:
        """Return a picture: the first at once, the others after the period of the asked frame rate."""
        await self.browser.take(self._pause_s, self.browser.machine.view_error)
        self._pause_s = self.period_s
        self.browser.pictures += 1
        return Frame(page="p1", width=1280, height=720, jpeg=b"picture %d" % self.browser.pictures)


def find_state(method: Method, state: LoginState, gate: Gate | None = None) -> Finding:
    """Return a finding that leads to that state, behind a gate if given."""
    if state is LoginState.UNCERTAIN:
        return Finding(method=method)
    reasons = {
        LoginState.LOGGED_IN: LoginReason.VIEWER_OBJECT,
        LoginState.LOGGED_OUT: LoginReason.LOGIN_BUTTON,
    }
    told = Evidence(
        rule="told to",
        place="test",
        points_to=state,
        strength=Strength.STRUCTURE,
        reason=reasons[state],
        gate=gate,
    )
    return Finding(method=method, evidence=(told,))


async def _take(seconds: float, error: Exception | None) -> None:
    if math.isinf(seconds):
        await trio.sleep_forever()
    await trio.sleep(seconds)
    if error is not None:
        raise error
