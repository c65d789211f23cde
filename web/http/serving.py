"""Serves an ASGI app on an address for as long as a block lasts.

Each client has its own `Connection`, which contains all errors; `Acceptor` decides who gets one. This module
adds the listening socket, and an end that no client can delay.
"""

import contextlib
import ctypes
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.typing import ASGIFramework
from hypercorn.utils import wrap_app

from greenroom.web.groups import sole_error_bare
from greenroom.web.http.accepting import Acceptor
from greenroom.web.http.bodies import LargeBodies
from greenroom.web.http.limits import Limits
from greenroom.web.http.listening import WILDCARDS, open_listener
from greenroom.web.http.tls import TlsFiles

GRACEFUL_TIMEOUT_S = 5.0
LIFESPAN_TIMEOUT_S = 10.0


@contextlib.asynccontextmanager
async def open_server(
    app: ASGIFramework,
    bind: str,
    *,
    graceful_timeout_s: float = GRACEFUL_TIMEOUT_S,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    admits: Callable[[list[str]], bool] = lambda _given: True,
    socket_mode: int = 0o600,
    tls: TlsFiles | None = None,
) -> AsyncIterator[str]:
    """Serve `app` on `bind` inside the block; yield its base URL, without a trailing slash.

    `bind` is `HOST:PORT` or `[IPV6]:PORT`; port 0 takes a free one. The URL is one that this machine can use,
    so a wildcard address becomes the loopback one. `bind` may also be `unix:/PATH`, a Unix socket with
    `socket_mode`, which is its own URL. It accepts connections from the first line of the block, with `tls`
    over TLS.

    Only clients whose Authorization headers `admits` accepts may send large bodies, since a body is in memory
    before the app sees its request.

    Leaving the block stops accepting, gives requests in flight `graceful_timeout_s` to finish, resets the
    connections of the rest and runs the app's shutdown. If an error or a cancellation leaves the block,
    requests get no time. Either way nothing listens and no connection is open afterwards. The block's own
    error is raised as it is.

    Raises BindFailed if it can't listen on the address, TlsUnusable if it can't speak TLS, and hypercorn's
    LifespanFailureError if the app fails to start. In all cases the block is not entered.
    """
    context = None if tls is None else await trio.to_thread.run_sync(tls.open_context)
    scheme = "http" if tls is None else "https"
    with sole_error_bare(layers=2):
        async with (
            open_listener(bind, mode=socket_mode, scheme=scheme) as (listening, url),
            _open_lifespan(app),
            trio.open_nursery() as connections,
        ):
            large = LargeBodies(admits=admits)
            acceptor = Acceptor(app=app, limits=limits, large=large, nursery=connections, tls=context)
            connections.start_soon(acceptor.run, listening)
            if tls is not None:
                connections.start_soon(tls.keep_renewed, acceptor.use_tls)
            yield url
            await acceptor.stop()
            connections.cancel_scope.deadline = trio.current_time() + graceful_timeout_s


def reset_connections(server: tuple[str, int], client: tuple[str, int] | None = None) -> int:
    """Reset this process's connections from `client`, or from everywhere, to its `server` address.

    The peer sees a TCP reset, unsent data is dropped, and reads and writes on this side fail with ECONNRESET
    or EPIPE. Returns how many connections there were. Linux only; elsewhere it finds none.
    """
    count = 0
    with contextlib.suppress(FileNotFoundError):
        for entry in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(OSError), _borrowed_socket(int(entry.name)) as connection:
                if _connects(connection, server, client):
                    _reset(connection)
                    count += 1
    return count


@contextlib.asynccontextmanager
async def _open_lifespan(app: ASGIFramework) -> AsyncIterator[None]:
    """Run the app's startup, then the block, then the app's shutdown, unless the block raises."""
    config = Config()
    config.startup_timeout = config.shutdown_timeout = LIFESPAN_TIMEOUT_S
    lifespan = Lifespan(wrap_app(app, config.wsgi_max_body_size, "asgi"), config, {})
    async with trio.open_nursery() as nursery:
        await nursery.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        if lifespan.supported and lifespan.shutdown.is_set():
            await trio.sleep_forever()  # the app has failed to start, which is raised in a moment
        yield
        await lifespan.wait_for_shutdown()
        nursery.cancel_scope.cancel(reason="the app has shut down")


@contextlib.contextmanager
def _borrowed_socket(fd: int) -> Iterator[socket.socket]:
    """Yield a duplicate of `fd`: if a thread closes `fd` meanwhile, we still don't touch a wrong socket."""
    copy = os.dup(fd)
    try:
        borrowed = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with borrowed:
        yield borrowed


def _connects(connection: socket.socket, server: tuple[str, int], client: tuple[str, int] | None) -> bool:
    if connection.family not in {socket.AF_INET, socket.AF_INET6} or connection.type != socket.SOCK_STREAM:
        return False
    ours, theirs = connection.getsockname()[:2], connection.getpeername()[:2]
    if client is not None and theirs != client[:2]:
        return False
    return ours[1] == server[1] and (ours[0] == server[0] or server[0] in WILDCARDS)


def _reset(connection: socket.socket) -> None:
    # Connecting a TCP socket to AF_UNSPEC resets it at once (connect(2)). Python's own connect() can't do
    # that. SO_LINGER resets only once the last handle is closed.
    no_address = bytes(16)
    ctypes.CDLL(None).connect(connection.fileno(), no_address, len(no_address))
