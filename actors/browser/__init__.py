"""Browsers in other processes: the daemon's side of the conversation with browser hosts, and the host itself.

Names are imported on first use. A browser host runs this file too, when it imports its own modules, and the
daemon's modules, with Trio and structlog, would cost each host 12 MB and 0.1 s.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.browser.adapter import ScraplingFetcherAdapter
    from actors.browser.binds import Private, find_home
    from actors.browser.engines import Engine, EngineChoice, EngineName, find_engine
    from actors.browser.hosts import BrowserHosts
    from actors.browser.marks import end_marked, own_processes
    from actors.browser.pool import HostPool, open_pool
    from actors.browser.sandbox import Sandbox, SandboxChoice, bubblewrap_problem, choose_sandbox
    from actors.browser.wire.messages import Proxy

__all__ = [
    "BrowserHosts",
    "Engine",
    "EngineChoice",
    "EngineName",
    "HostPool",
    "Private",
    "Proxy",
    "Sandbox",
    "SandboxChoice",
    "ScraplingFetcherAdapter",
    "bubblewrap_problem",
    "choose_sandbox",
    "end_marked",
    "find_engine",
    "find_home",
    "open_pool",
    "own_processes",
]

_MODULES = {
    "binds": ("Private", "find_home"),
    "sandbox": ("Sandbox", "SandboxChoice", "bubblewrap_problem", "choose_sandbox"),
    "adapter": ("ScraplingFetcherAdapter",),
    "engines": ("Engine", "EngineChoice", "EngineName", "find_engine"),
    "wire.messages": ("Proxy",),
    "hosts": ("BrowserHosts",),
    "marks": ("end_marked", "own_processes"),
    "pool": ("HostPool", "open_pool"),
}

if not TYPE_CHECKING:  # a type checker would believe that any name exists

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
