"""Logs the master profile in: runs a browser on the profile itself until the page shows a login."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import structlog
import trio

from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.failure import plain_reason
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.errors import BrowserLost, EngineUnavailable, PageGone, ProfileLocked, ProfileUnusable
from greenroom.actors.profile import ProfileCloner, is_locked
from greenroom.actors.profile.cookies import TOKENS, SavedLogin, read_login
from greenroom.actors.profile.copy import LOCK_NAMES
from greenroom.actors.profile.visit import recover, visiting
from greenroom.actors.verdict import LoginState, Method
from greenroom.actors.verdict.detector import LoginDetector
from greenroom.supervisor.config import SupervisorConfig
from greenroom.web.display import display_problem
from greenroom.web.http.serving import sole_error_bare

TIMEOUT_S = 600
LOOK_AGAIN_S = 1.0
# Longer than a session's, because here the profile that the browser writes on closing is the whole point.
CLOSE_GRACE_S = 15.0

_NO_DISPLAY_HINT = (
    "run this on a desktop or through `ssh -X`, or log in on another machine and copy its profile here"
)

_log = structlog.get_logger("greenroom.login")


def finish_interrupted_login(master: Path) -> None:
    """Restore the user's settings in a profile whose login was killed; log that, or why it failed."""
    try:
        if recover(master):
            _log.warning("a login was interrupted; the master profile's settings were restored")
    except ProfileUnusable as exc:
        _log.warning(
            "a login was interrupted, and the profile's settings can't be restored", detail=exc.detail
        )


async def log_in(
    config: SupervisorConfig,
    browsers: BrowserHosts,
    say: Callable[[str], None],
    *,
    headless: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> bool:
    """Open a browser on the master profile at the configured site and wait until somebody is logged in.

    This is the only feature that writes to the profile. It makes the directory if it is missing. The user's
    own settings stay unchanged, however this ends. Returns whether a login was seen and saved: False if the
    window was closed first, if `timeout_s` has passed, or if the login ended with the browser. A profile that
    did not exist before stays only if it has a login.

    Raises `ProfileLocked` if the profile is in use, `ProfileUnusable` if its directory can't be made or
    sessions could not read it, `EngineUnavailable` if no browser starts or no window can be shown, and
    `UpstreamUnreachable`.
    """
    if not headless and (problem := await trio.to_thread.run_sync(display_problem)):
        raise EngineUnavailable(problem, detail=_NO_DISPLAY_HINT)
    host = urlsplit(config.tiktok_url).hostname or ""
    with _open_master(config, host) as master:
        before = _read_login(master, host)
        browsers = attrs.evolve(browsers, profiles=(master,))
        with visiting(master), sole_error_bare(layers=1):  # the host's nursery
            was_seen = await _run_browser(config, browsers, say, master, headless, timeout_s)
        return _conclude(was_seen, before, read_login(master, host), say)


@contextlib.contextmanager
def _open_master(config: SupervisorConfig, host: str) -> Iterator[Path]:
    """Make the profile's directory if it is missing; remove it again if it has no login at `host` then.

    A directory that was empty before is emptied again. A profile that sessions could not use is refused with
    their error.
    """
    path = Path(os.path.realpath(config.user_data_master_dir))
    cloner = ProfileCloner(master=path, clones_dir=config.clones_dir)
    made: list[Path] = []
    try:
        if is_locked(path):
            raise ProfileLocked
        for folder in reversed((path, *path.parents)):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                made.append(folder)
        had_content = any(entry.name not in LOCK_NAMES for entry in path.iterdir())
    except OSError as exc:
        _remove(made)
        raise ProfileUnusable("The master profile can't be opened", detail=str(exc)) from exc
    if had_content:
        cloner.look_at_version()
    try:
        yield path
    finally:
        saved = _read_login(path, host)
        if not (had_content or (saved and saved.holds_at(datetime.now(UTC)))):
            _empty(path)
            _remove(made)


def _empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # what matters is the outcome of the login
        if not is_locked(path):
            for entry in path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _remove(made: list[Path]) -> None:
    with contextlib.suppress(OSError):  # somebody else has put something there, or removed it
        for folder in reversed(made):
            folder.rmdir()


def _read_login(master: Path, host: str) -> SavedLogin | None:
    try:
        return read_login(master, host)
    except ProfileUnusable:  # the browser starts a new file if it can't read the old one
        return None


async def _run_browser(
    config: SupervisorConfig,
    browsers: BrowserHosts,
    say: Callable[[str], None],
    master: Path,
    headless: bool,
    timeout_s: float,
) -> bool:
    """Return whether the browser has shown a login. By then the browser is gone."""
    async with browsers.open_browser("login") as browser:
        say(f"Opening {browsers.engine.name.value} on the master profile ...")
        with trio.move_on_after(timeout_s):
            try:
                await browser.launch(master, headless=headless)
            except EngineUnavailable as exc:
                raise EngineUnavailable(str(exc), detail=plain_reason(exc.detail or "")) from exc
            try:
                return await _see_login(browser, config, say, headless)
            finally:
                with trio.move_on_after(CLOSE_GRACE_S, shield=True), contextlib.suppress(BrowserLost):
                    await browser.close()
        say(f"No login was seen within {timeout_s:g} s.")
    return False


async def _see_login(
    browser: ScraplingFetcherAdapter, config: SupervisorConfig, say: Callable[[str], None], headless: bool
) -> bool:
    # Visible elements count for more than the page's data, which may be older than the login.
    detector = LoginDetector(
        timeout_s=config.login_detection_timeout,
        retries=0,
        selectors=config.selectors,
        methods=(Method.DOM, Method.HTML),
    )
    try:
        await browser.navigate(config.tiktok_url)
        if headless:
            say("Waiting until the page shows a login.")
        else:
            say("Waiting until the page shows a login. Log in there; close the window to give up.")
        while (await detector.judge(browser)).state is not LoginState.LOGGED_IN:  # noqa: ASYNC110  # a page sets no event
            await trio.sleep(LOOK_AGAIN_S)
    except (BrowserLost, PageGone):
        say("You closed the browser before a login was seen.")
        return False
    say("Logged in. Saving the profile ...")
    return True


def _conclude(
    was_seen: bool, before: SavedLogin | None, saved: SavedLogin, say: Callable[[str], None]
) -> bool:
    """Say which login the profile has, and return whether it has the one that was seen."""
    has_login = saved.holds_at(datetime.now(UTC))
    if has_login and (was_seen or saved != before):
        say(f"Saved: {describe_login(saved)}.")
    elif was_seen:
        say(
            f"Nothing was saved: with the browser, all of {', '.join(TOKENS)} are gone from the profile. "
            "The site lets them end with the browser (look for a box like 'remember me'), "
            "the profile is set to forget cookies, or the disk did not take them."
        )
    return was_seen and has_login


def describe_login(saved: SavedLogin) -> str:
    """Describe a profile's login, and until when it is valid, without secrets."""
    until = "" if saved.expires_at is None else f", until {saved.expires_at:%Y-%m-%d %H:%M} UTC at most"
    return f"{', '.join(saved.names)}{until}"
