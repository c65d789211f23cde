"""Starts a browser host, whose standard input is its socket to the daemon."""

import asyncio
import importlib
import os
import socket
import traceback

from greenroom.actors.browser.host.driver import Driver


def main() -> None:
    """Serve until the daemon disconnects, then end everything in this cell.

    Tasks that are still running are not cancelled and awaited as `asyncio.run` would do: Playwright can wait
    forever for a browser that does not answer.
    """
    # The socket must not stay standard input: the driver and the browsers would inherit it.
    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a name for a descriptor, not a path
        os.dup2(nothing.fileno(), 0)
    browsers: set[str] = set()
    try:
        browsers = asyncio.new_event_loop().run_until_complete(_serve(connection))
    except Exception:
        traceback.print_exc()
    finally:
        _end_own_cell(browsers)
        os._exit(0)


async def _serve(connection: socket.socket) -> set[str]:
    """Start the driver, and import Scrapling in a thread meanwhile: each takes half a second."""
    driver = Driver()
    driver.start_soon()
    server = await asyncio.to_thread(importlib.import_module, "greenroom.actors.browser.host.server")
    markers: set[str] = await server.serve(connection, driver)
    return markers


def _end_own_cell(browsers: set[str]) -> None:
    """End the cell. The import waits until here, because nothing else in a host needs the module."""
    importlib.import_module("greenroom.actors.browser.cells.marks").end_own_cell(browsers)


if __name__ == "__main__":
    main()
