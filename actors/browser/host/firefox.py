"""How a stock Firefox is launched, which stands in for a missing Camoufox."""

from collections.abc import Mapping
from typing import Any, Final

from greenroom.actors.browser.wire import messages

# Preferences that no page can see. Printing is off, because a page that prints would hang until somebody
# answers the dialog. Processes start when a page needs them: the three that Firefox keeps ready for the next
# sites cost 20 MB. Pages are composed on smaller surfaces, which are less often half empty; anything above
# the limit gets its own surface.
PREFERENCES: Final[Mapping[str, bool | int]] = {
    "print.enabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "gfx.webrender.max-shared-surface-size": 512,
    "gfx.webrender.picture-tile-width": 512,
    "gfx.webrender.picture-tile-height": 256,
}


def firefox_args(launch: messages.Launch) -> dict[str, Any]:
    """Return the arguments of Playwright's `launch_persistent_context` for Firefox over WebDriver BiDi."""
    args: dict[str, Any] = {
        "user_data_dir": launch.profile,
        "executable_path": launch.executable,
        "channel": "moz-firefox",
        "firefox_user_prefs": dict(PREFERENCES),
        "headless": launch.headless,
        # The page takes its size from the window, as in a browser that is not automated.
        "no_viewport": True,
    }
    if launch.proxy is not None:
        args["proxy"] = playwright_proxy(launch.proxy)
    return args


def playwright_proxy(proxy: messages.Proxy) -> dict[str, str]:
    """Return a proxy in the form that Playwright and Camoufox take."""
    settings = {"server": proxy.server}
    if proxy.username:
        settings |= {"username": proxy.username, "password": proxy.password}
    return settings
