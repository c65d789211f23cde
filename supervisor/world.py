"""The real world, put together from the settings."""

from urllib.parse import unquote, urlsplit

from actors.browser import BrowserHosts, Proxy, choose_sandbox, find_engine
from actors.ports import World
from actors.profile import ProfileCloner
from supervisor.config import SupervisorConfig


def real_world(config: SupervisorConfig) -> World:
    """Return the profiles and browsers of this machine. Blocks for up to some seconds.

    Raises `EngineUnavailable` or `SandboxUnavailable` where no browser can run.
    """
    return World(profiles=real_profiles(config), browsers=real_browsers(config))


def real_profiles(config: SupervisorConfig) -> ProfileCloner:
    """Return what clones the master profile."""
    return ProfileCloner(master=config.user_data_master_dir, clones_dir=config.clones_dir)


def real_browsers(config: SupervisorConfig) -> BrowserHosts:
    """Return what launches this machine's browsers. Blocks and raises like `real_world`."""
    return BrowserHosts(
        engine=find_engine(config.engine.value),
        sandbox=choose_sandbox(config.sandbox.value),
        proxy=parse_proxy(config.proxy) if config.proxy else None,
    )


def parse_proxy(url: str) -> Proxy:
    """Split a validated proxy URL into its server and credentials."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return Proxy(
        server=f"{parts.scheme}://{host}:{parts.port}",
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
