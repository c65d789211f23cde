"""A world without browsers, disks and threads, for tests of what is built on the session actor.

Everything happens in virtual time: use it with Trio's autojump clock. The interfaces are those of
`actors.ports`, so that a type checker notices when a fake and the real thing come apart.
"""

import contextlib
import math
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import attrs
import trio

from actors.browser.wire.messages import ImageType
from actors.errors import BrowserLost, GreenroomError
from actors.lifecycle import ProcessCount
from actors.ports import Clone, Owned, OwnedDirectory, OwnedProcess, World
from actors.resources import Usage
from actors.verdict import Evidence, Finding, LoginReason, LoginState, Method, Strength


@attrs.define(eq=False, kw_only=True, repr=False)
class FakeWorld:
    """Profiles and browsers that do what they are told. Times are seconds; `math.inf` means for ever.

    Each of `clone_error`, `launch_error`, `navigate_error` and `action_error` is raised at the end of that
    step, `sample_error` whenever something is looked at besides. `clones` and `browsers` hold what exists
    now: both are empty when nothing was left behind; with `keeps_clones` clones are. Set `page` for the
    verdict, `version` for what the master profile is: clones made before are not current any more.
    """

    clone_s: float = 0
    launch_s: float = 0
    navigate_s: float = 0
    inspect_s: float = 0
    close_s: float = 0
    remove_s: float = 0
    page: LoginState = LoginState.LOGGED_IN
    action_s: float = 0
    picture: bytes = b"a picture"
    html: bytes = b"<!doctype html><p>a page"
    probe_s: float = 0
    version: str = "1"
    clone_error: Exception | None = None
    launch_error: Exception | None = None
    navigate_error: Exception | None = None
    action_error: Exception | None = None
    remove_error: GreenroomError | None = None
    keeps_clones: bool = False
    sample_error: Exception | None = None
    survey_s: float = 0
    reach_s: float = 0
    site_error: GreenroomError | None = None
    no_place: str | None = None
    usage: Usage = attrs.field(
        factory=lambda: Usage(memory_bytes=700 << 20, processes=2, disk_bytes=40 << 20)
    )
    clones: set[str] = attrs.field(factory=set, init=False)
    browsers: dict[str, "FakeBrowser"] = attrs.field(factory=dict, init=False)

    @property
    def world(self) -> World:
        """This, as what the actor takes."""
        return World(profiles=self, browsers=self, estate=self, site=self)

    @contextlib.asynccontextmanager
    async def open_clone(self, session_id: str) -> AsyncIterator[Clone]:
        """See `ports.Profiles`."""
        clone = Clone(Path("/clones") / session_id, version=self.version)
        self.clones.add(session_id)
        try:
            await _take(self.clone_s, self.clone_error)
            yield clone
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.remove_s)
            if not self.keeps_clones:
                self.clones.remove(session_id)
                clone.freed_bytes = self.usage.disk_bytes
            if self.remove_error is not None:
                raise self.remove_error

    async def is_current(self, clone: Clone) -> bool:
        """See `ports.Profiles`: false, too, when cloning would fail now."""
        await _take(0, self.sample_error)
        return clone.version == self.version and self.clone_error is None

    async def current_version(self) -> str:
        """See `ports.Profiles`."""
        await _take(0, self.sample_error or self.clone_error)
        return self.version

    async def place_problem(self) -> str | None:
        """See `ports.Profiles`."""
        await _take(0, self.sample_error)
        return self.no_place

    async def reach(self) -> None:
        """Take the world's `reach_s`, then raise its `site_error`, if any."""
        await _take(self.reach_s, self.site_error)

    @contextlib.asynccontextmanager
    async def open_browser(self, session_id: str) -> AsyncIterator["FakeBrowser"]:
        """See `ports.Browsers`; with a nursery around the block, as the real one may have."""
        self.browsers[session_id] = browser = FakeBrowser(world=self)
        try:
            async with trio.open_nursery():
                yield browser
        finally:
            del self.browsers[session_id]
            browser.end()

    async def survey(self) -> Owned:
        """See `ports.Estate`: two processes a browser, one directory a clone, all after `survey_s`."""
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
class FakeBrowser:
    """See `ports.Browser`. `closed_politely` tells whether it was asked to close, and had the time to.

    It has the processes of the world's `usage`.
    """

    world: FakeWorld
    closed_politely: bool = attrs.field(default=False, init=False)
    urls: list[str] = attrs.field(factory=list, init=False)
    rehearsed: list[str] = attrs.field(factory=list, init=False)
    ended: ProcessCount = attrs.field(factory=ProcessCount, init=False)
    _lost: trio.Event = attrs.field(factory=trio.Event, init=False)

    def crash(self) -> None:
        """Lose this browser."""
        self._lost.set()

    async def launch(self, profile: Path, *, headless: bool) -> None:  # noqa: ARG002  # the port's signature
        """Take the world's `launch_s`, then raise its `launch_error`, if any."""
        await self._take(self.world.launch_s, self.world.launch_error)

    async def rehearse(self, url: str) -> None:
        """Take the world's `navigate_s`."""
        self.rehearsed.append(url)
        await self._take(self.world.navigate_s, None)

    async def navigate(self, url: str) -> None:
        """Take the world's `navigate_s`, then raise its `navigate_error`, if any."""
        self.urls.append(url)
        await self._take(self.world.navigate_s, self.world.navigate_error)

    async def refresh(self) -> None:
        """Take the world's `navigate_s`, then raise its `navigate_error`, if any."""
        await self._take(self.world.navigate_s, self.world.navigate_error)

    async def inspect(self, method: Method, selectors: Mapping[str, str]) -> Finding:  # noqa: ARG002  # likewise
        """Take the world's `inspect_s` and find its `page`."""
        await self._take(self.world.inspect_s, None)
        return find_state(method, self.world.page)

    async def screenshot(self, image: ImageType) -> bytes:  # noqa: ARG002  # likewise
        """Take the world's `action_s`, then raise its `action_error` or return its `picture`."""
        await self._take(self.world.action_s, self.world.action_error)
        return self.world.picture

    async def content(self) -> bytes:
        """Take the world's `action_s`, then raise its `action_error` or return its `html`."""
        await self._take(self.world.action_s, self.world.action_error)
        return self.world.html

    async def probe(self) -> None:
        """Take the world's `probe_s`."""
        await self._take(self.world.probe_s, None)

    async def wait_lost(self) -> None:
        """Wait for `crash`."""
        await self._lost.wait()
        raise BrowserLost("The browser was lost")

    async def measure(self, clone: Path) -> Usage:  # noqa: ARG002  # likewise
        """Return the world's `usage`."""
        await _take(0, self.world.sample_error)
        return self.world.usage

    async def close(self) -> None:
        """Take the world's `close_s`."""
        await self._take(self.world.close_s, None)
        self.closed_politely = True

    def end(self) -> None:
        """Count the processes that end with the host."""
        count = self.world.usage.processes
        self.ended = ProcessCount(politely=count) if self.closed_politely else ProcessCount(by_force=count)

    async def _take(self, seconds: float, error: Exception | None) -> None:
        if self._lost.is_set():
            await self.wait_lost()
        if seconds:
            with trio.move_on_after(seconds):
                await self.wait_lost()
        await _take(0, error)


def find_state(method: Method, state: LoginState) -> Finding:
    """Return a finding from which that state follows."""
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
    )
    return Finding(method=method, evidence=(told,))


async def _take(seconds: float, error: Exception | None) -> None:
    if math.isinf(seconds):
        await trio.sleep_forever()
    await trio.sleep(seconds)
    if error is not None:
        raise error
