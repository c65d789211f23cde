"""Browsers out of process: what the daemon says to a browser host, and the host itself."""

from actors.browser.cells import (
    Sandbox,
    bubblewrap_problem,
    choose_sandbox,
    end_marked,
    marked_processes,
    own_processes,
)
from actors.browser.client import BrowserHosts, ScraplingFetcherAdapter
from actors.browser.engines import Engine, EngineName, find_engine
from actors.browser.frames import Proxy

__all__ = [
    "BrowserHosts",
    "Engine",
    "EngineName",
    "Proxy",
    "Sandbox",
    "ScraplingFetcherAdapter",
    "bubblewrap_problem",
    "choose_sandbox",
    "end_marked",
    "find_engine",
    "marked_processes",
    "own_processes",
]
