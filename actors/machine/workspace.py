"""What a session owns on this machine: its clone from the start, and a browser once it is launched."""

import contextlib
from datetime import datetime
from pathlib import Path

import attrs
import structlog
import trio

from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.pool import HostPool
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import BrowserLost, ProfileUnusable
from greenroom.actors.ledger import Entry
from greenroom.actors.lifecycle import ProcessCount
from greenroom.actors.machine.bundles import LocalRecording
from greenroom.actors.machine.committer import Committer
from greenroom.actors.profile.cookies import digest_login
from greenroom.actors.profile.lock import find_browser
from greenroom.actors.profile.quitting import has_quit
from greenroom.actors.resources import Promises, Usage
from greenroom.actors.threads import Work, in_thread

# How often to look whether a browser has quit, which takes it a fraction of a second.
_QUIT_AGAIN_S = 0.05

_log = structlog.get_logger("greenroom.machine")


@attrs.define(eq=False, kw_only=True, repr=False)
class LocalWorkspace:
    """A session's workspace on this machine, made by `LocalMachine`. Satisfies `ports.Workspace`.

    `entry` is its entry in the ledger. Everything that the session ever has here carries the entry's marker
    or is in one of its two directories. `login` is what `read_login` had to say when the clone was made. With
    a `proxy`, the browser uses that in place of the usual one.
    """

    entry: Entry
    profile_version: str
    recording: LocalRecording
    freed_bytes: int = attrs.field(default=0, init=False)
    left: tuple[str, ...] = attrs.field(default=(), init=False)
    _pool: HostPool
    _promises: Promises
    _place: contextlib.AsyncExitStack
    proxy: Proxy | None = None
    login_host: str = ""
    login: dict[str, str] | None = None
    _committer: Committer | None = None
    _browser: ScraplingFetcherAdapter | None = attrs.field(default=None, init=False)

    @property
    def ended(self) -> ProcessCount:
        """See `ports.Workspace`."""
        return self._browser.ended if self._browser else ProcessCount()

    async def launch(self, *, headless: bool) -> ScraplingFetcherAdapter:
        """Take a place in one of the pool's hosts and launch there; see `ports.Workspace`."""
        clone = Path(self.entry.clone)
        browser = await self._take_place()
        try:
            await browser.launch(clone, headless=headless, proxy=self.proxy)
        except BrowserLost as exc:
            if not browser.is_host_lost:
                raise
            _log.warning(
                "host lost during a launch; retrying in a new one",
                session_id=self.entry.session,
                detail=exc.detail,
            )
            await self._place.aclose()
            # Whatever this profile does to its host, it should not do to other sessions' hosts.
            browser = await self._take_place(in_new_host=True)
            await browser.launch(clone, headless=headless, proxy=self.proxy)
        self._promises.browser_runs(self.entry.session)
        return browser

    async def _take_place(self, *, in_new_host: bool = False) -> ScraplingFetcherAdapter:
        opening = self._pool.open_browser(self.entry.session, self.entry, in_new_host=in_new_host)
        self._browser = await self._place.enter_async_context(opening)
        return self._browser

    async def commit(self) -> int:
        """See `ports.Workspace`."""
        if self._committer is None:
            raise RuntimeError("the session does not write the profile")
        return await self._committer.commit(Path(self.entry.clone))

    async def put_off(self, until: datetime) -> None:
        """See `ports.Workspace`."""
        if self._committer is not None:
            await self._committer.put_off(until)

    async def wait_quit(self) -> bool:
        """See `ports.Workspace`."""
        clone = Path(self.entry.clone)
        while await in_thread(Work.LEDGER, find_browser, clone) is not None:  # noqa: ASYNC110  # others' lock
            await trio.sleep(_QUIT_AGAIN_S)
        return await in_thread(Work.LEDGER, has_quit, clone)

    async def has_rotated(self) -> bool:
        """See `ports.Workspace`."""
        if self.login is None:
            return False
        now = await in_thread(Work.LEDGER, self.read_login)
        return now is not None and any(
            now[name] != self.login[name] for name in now.keys() & self.login.keys()
        )

    def read_login(self) -> dict[str, str] | None:
        """Return a digest of each login cookie of the clone, by its name; None if they can't be read."""
        with contextlib.suppress(ProfileUnusable):
            return digest_login(Path(self.entry.clone), self.login_host)
        return None

    async def measure(self) -> Usage:
        """See `ports.Workspace`."""
        directories = [Path(self.entry.clone), Path(self.entry.scratch)]
        return await self._pool.hosts.sampler.measure(self.entry.marker, directories)
