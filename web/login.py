"""How the master profile gets its login: a browser on the profile itself, until the page shows a login."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from actors.browser import BrowserHosts, ScraplingFetcherAdapter
from actors.errors import BrowserLost, EngineUnavailable, PageGone, ProfileLocked, ProfileUnusable
from actors.profile import is_locked
from actors.verdict import LoginState, Method
from actors.verdict.detector import LoginDetector
from supervisor.config import SupervisorConfig
from web.display import display_problem
from web.serving import sole_error_bare

LOOK_AGAIN_S = 1.0
# Here, unlike in a session, the profile that the browser writes on closing is what all this is for.
CLOSE_GRACE_S = 15.0

_NO_DISPLAY_HINT = (
    "run this on a desktop or through `ssh -X`, or log in on another machine and copy its profile here"
)


async def log_in(
    config: SupervisorConfig, browsers: BrowserHosts, say: Callable[[str], None], *, headless: bool = False
) -> bool:
    """Open a browser on the master profile at the configured site and wait until somebody is logged in.

    Makes the profile directory if it is missing; this is the one feature that writes to it. Returns whether
    the login was seen: False when the window was closed before. Raises `ProfileLocked` when the profile is in
    use, `ProfileUnusable` when its directory can't be made or read, `EngineUnavailable`, also where there is
    no display for a window, or `UpstreamUnreachable`.
    """
    if not headless and (problem := await trio.to_thread.run_sync(display_problem)):
        raise EngineUnavailable(problem, detail=_NO_DISPLAY_HINT)
    master = _make_ready(config.user_data_master_dir)
    browsers = attrs.evolve(browsers, profiles=(master,))
    with sole_error_bare(layers=1):  # the host's nursery
        async with browsers.open_browser("login") as browser:
            say(f"Opening {browsers.engine.name.value} on the master profile ...")
            await browser.launch(master, headless=headless)
            try:
                return await _see_login(browser, config, say)
            finally:
                with trio.move_on_after(CLOSE_GRACE_S, shield=True), contextlib.suppress(BrowserLost):
                    await browser.close()


def _make_ready(master: Path) -> Path:
    real = Path(os.path.realpath(master))
    try:
        if is_locked(real):
            raise ProfileLocked
        real.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ProfileUnusable("The master profile can't be opened", detail=str(exc)) from exc
    return real


async def _see_login(
    browser: ScraplingFetcherAdapter, config: SupervisorConfig, say: Callable[[str], None]
) -> bool:
    # What is shown counts for more than the page's data, which may be from before the login.
    detector = LoginDetector(
        timeout_s=config.login_detection_timeout,
        retries=0,
        selectors=config.selectors,
        methods=(Method.DOM, Method.HTML),
    )
    try:
        await browser.navigate(config.tiktok_url)
        say("Waiting until the page shows a login. Log in there; close the window to give up.")
        while (await detector.judge(browser)).state is not LoginState.LOGGED_IN:  # noqa: ASYNC110  # a page sets no event
            await trio.sleep(LOOK_AGAIN_S)
    except (BrowserLost, PageGone):
        say("The browser was closed before a login was seen.")
        return False
    say("Logged in. Saving the profile ...")
    return True
