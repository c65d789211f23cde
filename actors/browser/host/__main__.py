"""Start a browser host; its standard input is the socket on which it talks to the daemon."""

import asyncio
import os
import socket
import traceback

from actors.browser.cells import end_own_cell
from actors.browser.host.server import serve


def main() -> None:
    """Serve until the daemon hangs up, then take everything in this cell along.

    What is still under way then gets no polite end, as `asyncio.run` would give it: Playwright can wait for
    ever for a browser that does not answer.
    """
    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a name for a descriptor, not a path
        os.dup2(nothing.fileno(), 0)
    try:
        asyncio.new_event_loop().run_until_complete(serve(connection))
    except Exception:
        traceback.print_exc()
    finally:
        end_own_cell()
        os._exit(0)


if __name__ == "__main__":
    main()
