"""The real world, put together from the settings."""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

import attrs
import trio

from actors.browser import (
    BrowserHosts,
    HostPool,
    Proxy,
    choose_sandbox,
    end_marked,
    find_engine,
    open_pool,
)
from actors.clones import LedgeredProfiles
from actors.estate import RealEstate
from actors.ledger import open_ledger
from actors.ports import World
from actors.profile import ProfileCloner
from actors.resources import Needs
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
        open_ledger(config.clones_dir, end_marked) as ledger,
        open_pool(
            attrs.evolve(hosts, ledger=ledger),
            sessions_per_host=config.sessions_per_host,
            budget=config.session_budget,
        ) as pool,
    ):
        cloner = ProfileCloner(master=config.user_data_master_dir, clones_dir=ledger.folder)
        yield RealWorld(
            profiles=LedgeredProfiles(cloner=cloner, ledger=ledger, needs=Needs()),
            browsers=pool,
            estate=RealEstate(ledger, lambda: pool.ids),
        )


@contextlib.asynccontextmanager
async def open_hosts(config: SupervisorConfig) -> AsyncIterator[BrowserHosts]:
    """Own a place for a few browsers that are no sessions in `clones_dir`; otherwise like `open_world`."""
    hosts = await trio.to_thread.run_sync(real_browsers, config)
    async with open_ledger(config.clones_dir, end_marked) as ledger:
        yield attrs.evolve(hosts, ledger=ledger)


def real_browsers(config: SupervisorConfig) -> BrowserHosts:
    """Return what launches this machine's browsers, without a ledger. Blocks for up to some seconds.

    Raises `EngineUnavailable` or `SandboxUnavailable` where no browser can run.
    """
    return BrowserHosts(
        engine=find_engine(config.engine.value),
        sandbox=choose_sandbox(config.sandbox.value),
        proxy=parse_proxy(config.proxy.reveal()) if config.proxy else None,
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
