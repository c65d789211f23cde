"""This machine as the settings describe it: engine, sandbox, proxy and directories."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote, urlsplit

import attrs
import structlog
import trio

from greenroom.actors.browser.cells.binds import Private, find_home
from greenroom.actors.browser.cells.marks import end_marked
from greenroom.actors.browser.cells.sandbox import Sandbox, choose_sandbox
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.browser.engines import Engine, EngineName, find_engine
from greenroom.actors.browser.wire.messages import Proxy
from greenroom.actors.errors import EngineUnavailable
from greenroom.actors.events import HostEvent
from greenroom.actors.ledger import open_ledger
from greenroom.actors.machine.local import LocalMachine, open_local_machine
from greenroom.actors.machine.site import SiteAddress
from greenroom.actors.profile.generations import history_folder
from greenroom.supervisor.config import SupervisorConfig

_NO_PLACES = (
    "Camoufox's location database is not installed, so time zone and language don't fit the proxy: run "
    "`{python} -m camoufox fetch`, then `greenroom profile new-identity` for profiles that have an identity"
)
# Over WebDriver BiDi, Playwright sends a proxy's login with each request, even to sites, and answers
# sites that ask for a password with it.
_NO_LOGIN = (
    "Firefox, which stands in for Camoufox, would give the proxy's password to sites: install Camoufox "
    "(greenroom install-browser), or use a proxy that knows you by your address"
)

_log = structlog.get_logger("greenroom.machine")


@contextlib.asynccontextmanager
async def open_machine(
    config: SupervisorConfig, tell: Callable[[HostEvent], None] = lambda _: None
) -> AsyncIterator[LocalMachine]:
    """Open this machine for sessions, after ending what dead daemons left on it.

    `tell` hears what becomes of browser hosts.

    Raises `EngineUnavailable` or `SandboxUnavailable` if no browser can run, and what `open_local_machine`
    raises.
    """
    browsers = await trio.to_thread.run_sync(local_browsers, config)
    async with open_local_machine(
        browsers,
        profiles=config.profiles,
        clones_dir=config.clones_dir,
        sessions_per_host=config.sessions_per_host,
        budget=config.session_budget,
        site=site_address(config),
        login_host=urlsplit(config.tiktok_url).hostname or "",
        bundles_dir=config.bundles_dir,
        not_cloned=config.not_cloned,
        tell=tell,
    ) as machine:
        yield machine


@contextlib.asynccontextmanager
async def open_browsers(config: SupervisorConfig) -> AsyncIterator[BrowserHosts]:
    """Open `clones_dir` for a few browsers that belong to no session; otherwise like `open_machine`."""
    browsers = await trio.to_thread.run_sync(local_browsers, config)
    async with open_ledger(config.clones_dir, end_marked) as ledger:
        yield attrs.evolve(browsers, ledger=ledger)


def local_browsers(config: SupervisorConfig) -> BrowserHosts:
    """Return the launcher of this machine's browsers, without a ledger. Blocks for up to some seconds.

    Raises `EngineUnavailable` or `SandboxUnavailable` if no browser can run.
    """
    engine = find_engine(config.engine)
    proxy = parse_proxy(config.proxy.reveal()) if config.proxy else None
    others = {name: parse_proxy(url.reveal()) for name, url in config.profile_proxies.items()}
    has_login = any(one is not None and one.username for one in (proxy, *others.values()))
    if has_login and engine.name is EngineName.FIREFOX:
        raise EngineUnavailable(_NO_LOGIN)
    if (problem := places_problem(engine, config)) is not None:
        _log.warning(problem)
    browsers = BrowserHosts(
        engine=engine,
        sandbox=choose_sandbox(config.sandbox),
        proxy=proxy,
        proxies=others,
        private=Private(
            paths=(
                config.user_data_master_dir,
                history_folder(config.user_data_master_dir),
                config.profiles.folder,
                config.clones_dir,
                *config.private_paths,
            ),
            home=find_home(os.environ),
        ),
    )
    if browsers.sandbox is Sandbox.BUBBLEWRAP:
        browsers.look()
    return browsers


def places_problem(engine: Engine, config: SupervisorConfig) -> str | None:
    """Return what is missing to find out where the proxies are, and what to do; None if nothing is."""
    has_proxy = config.proxy is not None or bool(config.profile_proxies)
    if engine.name is not EngineName.CAMOUFOX or engine.places is not None or not has_proxy:
        return None
    return _NO_PLACES.format(python=sys.executable)


def site_address(config: SupervisorConfig) -> SiteAddress:
    """Return where browsers connect to: the proxy if there is one, otherwise the site."""
    name, url = ("The proxy", config.proxy.reveal()) if config.proxy else ("The site", config.tiktok_url)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return SiteAddress(name=name, host=parts.hostname or "", port=port)


def parse_proxy(url: str) -> Proxy:
    """Split a validated proxy URL into its server and credentials."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return Proxy(
        server=f"{parts.scheme}://{host}:{parts.port}",
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
