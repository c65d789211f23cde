"""The real world, put together from the settings."""

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import trio

from actors.browser import (
    BrowserHosts,
    HostPool,
    Private,
    Proxy,
    Sandbox,
    choose_sandbox,
    end_marked,
    find_engine,
    find_home,
    open_pool,
)
from actors.clones import LedgeredProfiles
from actors.estate import RealEstate
from actors.ledger import Ledger, open_ledger
from actors.ports import World
from actors.profile import ProfileCloner
from actors.resources import Needs
from actors.site import SiteAddress
from supervisor.config import SupervisorConfig


@attrs.frozen(kw_only=True)
class RealWorld(World):
    """This machine's profiles and browsers."""

    profiles: LedgeredProfiles
    browsers: HostPool


@contextlib.asynccontextmanager
async def open_world(config: SupervisorConfig) -> AsyncIterator[RealWorld]:
    """Own a place for sessions in `clones_dir`, after ending what dead daemons left there.

    Raises `EngineUnavailable` or `SandboxUnavailable` where no browser can run, `CloneFailed` where
    `clones_dir` can't be written.
    """
    hosts = await trio.to_thread.run_sync(real_browsers, config)
    async with (
        _open_ledger(config) as ledger,
        open_pool(
            attrs.evolve(hosts, ledger=ledger),
            sessions_per_host=config.sessions_per_host,
            budget=config.session_budget,
        ) as pool,
    ):
        cloner = ProfileCloner(
            master=config.user_data_master_dir, clones_dir=ledger.folder, engine_version=hosts.engine.version
        )
        yield RealWorld(
            profiles=LedgeredProfiles(cloner=cloner, ledger=ledger, needs=Needs()),
            browsers=pool,
            estate=RealEstate(ledger, lambda: pool.ids, hosts.sampler),
            site=site_address(config),
        )


@contextlib.asynccontextmanager
async def open_hosts(config: SupervisorConfig) -> AsyncIterator[BrowserHosts]:
    """Own a place for a few browsers that are no sessions in `clones_dir`; otherwise like `open_world`."""
    hosts = await trio.to_thread.run_sync(real_browsers, config)
    async with _open_ledger(config) as ledger:
        yield attrs.evolve(hosts, ledger=ledger)


def _open_ledger(config: SupervisorConfig) -> AbstractAsyncContextManager[Ledger]:
    # Cells don't show the links that may lead there.
    return open_ledger(Path(os.path.realpath(config.clones_dir)), end_marked)


def real_browsers(config: SupervisorConfig) -> BrowserHosts:
    """Return what launches this machine's browsers, without a ledger. Blocks for up to some seconds.

    Raises `EngineUnavailable` or `SandboxUnavailable` where no browser can run.
    """
    hosts = BrowserHosts(
        engine=find_engine(config.engine.value),
        sandbox=choose_sandbox(config.sandbox.value),
        proxy=parse_proxy(config.proxy.reveal()) if config.proxy else None,
        private=Private(
            paths=(config.user_data_master_dir, config.clones_dir, *config.private_paths),
            home=find_home(os.environ),
        ),
    )
    if hosts.sandbox is Sandbox.BUBBLEWRAP:
        hosts.look()
    return hosts


def site_address(config: SupervisorConfig) -> SiteAddress:
    """Return where browsers connect to: the proxy if there is one, else the site."""
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
