"""Browsers out of process: what the daemon says to a browser host, and the host itself.

Names are imported when they are first asked for. A browser host runs this file too, on its way to modules of
its own, and the daemon's, with Trio and structlog, would cost each host 12 MB and 0.1 s.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.browser.adapter import ScraplingFetcherAdapter
    from actors.browser.binds import Private, find_home
    from actors.browser.engines import Engine, EngineName, find_engine
    from actors.browser.hosts import BrowserHosts
    from actors.browser.marks import end_marked, marked_processes, own_processes
    from actors.browser.pool import HostPool, open_pool
    from actors.browser.sandbox import Sandbox, bubblewrap_problem, choose_sandbox
    from actors.browser.wire.messages import Proxy

__all__ = [
    "BrowserHosts",
    "Engine",
    "EngineName",
    "HostPool",
    "Private",
    "Proxy",
    "Sandbox",
    "ScraplingFetcherAdapter",
    "bubblewrap_problem",
    "choose_sandbox",
    "end_marked",
    "find_engine",
    "find_home",
    "marked_processes",
    "open_pool",
    "own_processes",
]

_MODULES = {
    "binds": ("Private", "find_home"),
    "sandbox": ("Sandbox", "bubblewrap_problem", "choose_sandbox"),
    "adapter": ("ScraplingFetcherAdapter",),
    "engines": ("Engine", "EngineName", "find_engine"),
    "wire.messages": ("Proxy",),
    "hosts": ("BrowserHosts",),
    "marks": ("end_marked", "marked_processes", "own_processes"),
    "pool": ("HostPool", "open_pool"),
}

if not TYPE_CHECKING:  # a type checker would take any name for one that this finds

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
