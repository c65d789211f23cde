"""Logs the master profile in: runs a browser on a copy until the page shows a login, and keeps the copy."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio

from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.failure import plain_reason
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.errors import BrowserLost, EngineUnavailable, GreenroomError, PageGone, ProfileUnusable
from greenroom.actors.lifecycle import DEFAULT_PROFILE, login_command
from greenroom.actors.profile import ProfileCloner
from greenroom.actors.profile.compatibility import refuse_newer
from greenroom.actors.profile.cookies import TOKENS, SavedLogin, read_login
from greenroom.actors.profile.copy import Progress, copy_profile
from greenroom.actors.profile.generations import Writing, history_folder, is_empty, open_writing
from greenroom.actors.profile.lock import refuse_browser
from greenroom.actors.profile.place import give_to_owner_of
from greenroom.actors.profile.settings_files import hide_settings, restore_settings
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


async def log_in(
    config: SupervisorConfig,
    browsers: BrowserHosts,
    say: Callable[[str], None],
    *,
    profile: str = DEFAULT_PROFILE,
    headless: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> bool:
    """Open a browser at the configured site until somebody is logged in, and keep that in a master profile.

    The browser runs on a copy, which becomes the profile's next generation if it has a new login, in one
    step. Otherwise the profile stays as it is, however this ends. The user's own settings stay in any case.
    The profile's directory is made if it is missing, and stays only if there is a login. Returns whether a
    login was seen and saved: False if the window was closed first, if `timeout_s` has passed, or if the login
    ended with the browser.

    Raises `ProfileLocked` if the profile is in use, `ProfileUnusable` if its directory can't be made or
    sessions could not read it, `ProfileNotReplaced` if no generation can be made, `EngineUnavailable` if no
    browser starts or no window can be shown, and `UpstreamUnreachable`.
    """
    if not headless and (problem := await trio.to_thread.run_sync(display_problem)):
        raise EngineUnavailable(problem, detail=_NO_DISPLAY_HINT)
    host = urlsplit(config.tiktok_url).hostname or ""
    until = datetime.now(UTC) + timedelta(seconds=timeout_s + CLOSE_GRACE_S)
    with (
        _existing(config, profile) as master,
        open_writing(master, login_command(profile), until=until) as writing,
        sole_error_bare(layers=1),  # the host's nursery
    ):
        refuse_newer(master, browsers.engine.version)
        before = _read_login(master, host)
        await _copy(master, writing.new)
        browsers = attrs.evolve(browsers, profiles=(writing.new,))
        try:
            was_seen = await _run_browser(config, browsers, say, writing.new, headless, timeout_s)
        except BaseException:
            # Also if the user has had enough: a login that the page did not show yet is not to be lost.
            try:
                _keep(writing, before, host, was_seen=False)
            except GreenroomError as exc:
                say(f"The profile stays as it was: {exc}")
            raise
        saved = _keep(writing, before, host, was_seen=was_seen)
        return _conclude(was_seen, before, saved, say)


@contextlib.contextmanager
def _existing(config: SupervisorConfig, profile: str) -> Iterator[Path]:
    """Make the profile's directory if it is missing; remove it again if nothing is in it then.

    A profile that sessions could not use is refused with their error.
    """
    path = Path(os.path.realpath(config.profiles.path_of(profile)))
    cloner = ProfileCloner(name=profile, master=path, clones_dir=config.clones_dir)
    made: list[Path] = []
    try:
        for folder in reversed((path, *path.parents)):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                made.append(folder)
        refuse_browser(path)
        has_content = not is_empty(path)
    except OSError as exc:
        _remove(made)
        raise ProfileUnusable("The master profile can't be opened", detail=str(exc)) from exc
    try:
        if has_content:
            cloner.look_at_version()
        yield path
    finally:
        _remove([*made, history_folder(path)])


async def _copy(master: Path, new: Path) -> None:
    """Fill a new generation with what the profile has."""
    with _translating():
        await trio.to_thread.run_sync(copy_profile, master, new, Progress())
        hide_settings(new)


def _keep(writing: Writing, before: SavedLogin | None, host: str, *, was_seen: bool) -> SavedLogin:
    """Commit the new generation if it has a login that is new; return the login that it has."""
    with _translating():
        restore_settings(writing.new, writing.profile)
        give_to_owner_of(writing.profile, writing.new, *writing.new.rglob("*"))
    saved = read_login(writing.new, host)
    if saved.holds_at(datetime.now(UTC)) and (was_seen or saved != before):
        writing.commit()
    return saved


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ProfileUnusable("The master profile can't be copied", detail=str(exc)) from exc


def _remove(made: list[Path]) -> None:
    for folder in reversed(made):
        with contextlib.suppress(OSError):  # somebody else has put something there, or removed it
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
    profile: Path,
    headless: bool,
    timeout_s: float,
) -> bool:
    """Return whether the browser has shown a login. By then the browser is gone."""
    async with browsers.open_browser("login") as browser:
        say(f"Opening {browsers.engine.name.value} on a copy of the master profile ...")
        with trio.move_on_after(timeout_s):
            try:
                await browser.launch(profile, headless=headless)
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
