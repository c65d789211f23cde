"""How a stock Firefox is launched: the stand-in where Camoufox is not installed."""

from typing import Any

from actors.browser import frames


def firefox_args(launch: frames.Launch) -> dict[str, Any]:
    """Return the arguments of Playwright's `launch_persistent_context` for Firefox over WebDriver BiDi."""
    args: dict[str, Any] = {
        "user_data_dir": launch.profile,
        "executable_path": launch.run_as or launch.executable,
        "channel": "moz-firefox",
        "headless": launch.headless,
        # The page decides its size from the window, as in a browser that nobody automates.
        "no_viewport": True,
    }
    if launch.proxy is not None:
        args["proxy"] = playwright_proxy(launch.proxy)
    return args


def playwright_proxy(proxy: frames.Proxy) -> dict[str, str]:
    """Return a proxy in the form that Playwright and Camoufox take."""
    settings = {"server": proxy.server}
    if proxy.username:
        settings |= {"username": proxy.username, "password": proxy.password}
    return settings
