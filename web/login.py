"""How the master profile gets its login: a browser on the profile itself, until the page shows a login."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import trio

from actors.browser import BrowserHosts, ScraplingFetcherAdapter
from actors.errors import BrowserLost, EngineUnavailable, GreenroomError, ProfileLocked, ProfileUnusable
from actors.profile import is_locked
from actors.verdict import LoginDetector, LoginState
from supervisor.config import SupervisorConfig

LOOK_AGAIN_S = 1.0
# Here, unlike in a session, the profile that the browser writes on closing is what all this is for.
CLOSE_GRACE_S = 15.0


async def log_in(
    config: SupervisorConfig, browsers: BrowserHosts, say: Callable[[str], None], *, headless: bool = False
) -> bool:
    """Open a browser on the master profile at the configured site and wait until somebody is logged in.

    Makes the profile directory if it is missing; this is the one feature that writes to it. Returns whether
    the login was seen: False when the window was closed before. Raises `ProfileLocked` when the profile is in
    use, `EngineUnavailable`, `UpstreamUnreachable`, or `CloneFailed` when the directory can't be made.
    """
    master = config.user_data_master_dir.resolve()
    if is_locked(master):
        raise ProfileLocked
    try:
        master.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise CloneFailed("The master profile's directory can't be made", detail=str(exc)) from exc
    detector = LoginDetector(timeout_s=config.login_detection_timeout, retries=0, selectors=config.selectors)
    failure: GreenroomError | None = None
    logged_in = False
    async with browsers.open_host("login") as browser:
        try:
            say(f"Opening {browsers.engine.name.value} on the master profile ...")
            await browser.launch(master, headless=headless)
            await browser.navigate(config.tiktok_url)
            say("Waiting until the page shows a login. Log in there; close the window to give up.")
            while not logged_in:
                logged_in = (await detector.judge(browser)).state is LoginState.LOGGED_IN
                if not logged_in:
                    await trio.sleep(LOOK_AGAIN_S)
            say("Logged in. Saving the profile ...")
        except BrowserLost:
            say("The browser was closed before a login was seen.")
        except GreenroomError as exc:
            failure = exc
        with trio.move_on_after(CLOSE_GRACE_S, shield=True), contextlib.suppress(BrowserLost):
            await browser.close()
    if failure is not None:
        raise failure
    return logged_in
