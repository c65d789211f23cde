"""How a stock Firefox is launched: the stand-in where Camoufox is not installed."""

from collections.abc import Mapping
from typing import Any, Final

from actors.browser.wire import messages

# What no page can see. A page that prints would stand still until somebody answers the dialog. Processes
# are started when a page needs them: the three that Firefox keeps ready for the next sites cost 20 MB.
# Pages are put together on smaller surfaces, which are less often half empty; what is larger than the limit
# gets one of its own.
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
        # The page decides its size from the window, as in a browser that nobody automates.
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
