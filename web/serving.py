"""Serve an ASGI app on an address for as long as a block lasts.

Hypercorn does the serving. Added here is what it lacks for that: the address it got, no output of its own,
and an end that nothing can hold up. Hypercorn shields every write from cancellation, so one client that
stops reading would keep a plain `hypercorn.trio.serve` alive for ever; here such a connection is reset.
"""

import contextlib
import ctypes
import logging
import math
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio.run import worker_serve
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from hypercorn.utils import wrap_app

GRACEFUL_TIMEOUT_S = 5.0
STUCK_AFTER_S = 0.1  # how long a cancelled connection may take to end before it is reset
LIFESPAN_TIMEOUT_S = 10.0
BACKLOG = 100
ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Za-z:.%]+)\]|(?P<host>[^\s\[\]:/\0]+)):(?P<port>[0-9]{1,5})")
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised here, not bound)


class BindFailed(OSError):
    """The address can't be listened on: taken, forbidden, unknown, or no address at all."""

    def __init__(self, bind: str, why: str, *, code: int | None = None) -> None:
        super().__init__(code, f"Can't listen on {bind!r}: {why}")
        self.bind = bind

    def __str__(self) -> str:
        return str(self.strerror)  # without the number that OSError puts before it


@contextlib.asynccontextmanager
async def open_server(
    app: ASGIFramework, bind: str, *, graceful_timeout_s: float = GRACEFUL_TIMEOUT_S
) -> AsyncIterator[str]:
    """Serve `app` on `bind` inside the block, and yield its base URL, without a slash at the end.

    `bind` is `HOST:PORT` or `[IPV6]:PORT`; port 0 takes a free one. The URL is one that this machine can use,
    so a wildcard address becomes the loopback one. It accepts connections from the first line of the block.

    Leaving the block stops accepting, gives requests in flight `graceful_timeout_s` to finish, cancels the
    rest and runs the app's shutdown. An error or a cancellation that leaves the block gives them no time.
    Either way nothing listens and no connection is open afterwards. An error of the block comes out as it is.

    Raises BindFailed when the address can't be had, and hypercorn's LifespanFailureError when the app fails
    to start; the block is entered in neither case.
    """
    listening = await _listen(bind)
    with listening:
        address = listening.getsockname()
        shutdown, stopped, failed = trio.Event(), trio.Event(), trio.Event()
        with sole_error_bare(layers=1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_reset_leftovers, address, shutdown, graceful_timeout_s, stopped)
                watched = _watch(app, failed)
                await nursery.start(_serve, watched, listening, graceful_timeout_s, shutdown, stopped)
                if failed.is_set():
                    await trio.sleep_forever()  # hypercorn reports itself started, and raises a moment later
                yield _base_url(address)
                shutdown.set()
                await stopped.wait()
                nursery.cancel_scope.cancel(reason="the server has stopped")


def reset_connections(server: tuple[str, int], client: tuple[str, int] | None = None) -> int:
    """Reset this process's connections from `client`, or from everywhere, to its `server` address.

    The peer sees a TCP reset, whatever was still to be sent is dropped, and whoever reads or writes here
    fails with ECONNRESET or EPIPE. Returns how many there were. Linux only; elsewhere there are none.
    """
    count = 0
    with contextlib.suppress(FileNotFoundError):
        for entry in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(OSError), _borrowed_socket(int(entry.name)) as connection:
                if _connects(connection, server, client):
                    _reset(connection)
                    count += 1
    return count


def _watch(app: ASGIFramework, failed: trio.Event) -> ASGIFramework:
    """Return the app with its failure to start noted, and with nothing that breaks off an answer's end.

    With that end hypercorn closes a connection that is not to be kept alive, and first tells quart-trio so,
    which cancels whoever answers: in the midst of the closing, which then would never come about.
    """

    async def watched(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def watched_send(message: ASGISendEvent) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.set()
            ends = message["type"] == "http.response.body" and not message.get("more_body", False)
            with trio.CancelScope(shield=ends):
                await send(message)

        await app(scope, receive, watched_send)

    return watched


async def _serve(
    app: ASGIFramework,
    listening: socket.socket,
    graceful_timeout_s: float,
    shutdown: trio.Event,
    stopped: trio.Event,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.graceful_timeout = graceful_timeout_s
    config.startup_timeout = config.shutdown_timeout = LIFESPAN_TIMEOUT_S
    try:
        with sole_error_bare(layers=math.inf):
            await worker_serve(
                wrap_app(app, config.wsgi_max_body_size, "asgi"),
                config,
                # Given as a socket, not as "fd://": hypercorn would make that one inheritable.
                sockets=Sockets(secure_sockets=[], insecure_sockets=[listening], quic_sockets=[]),
                shutdown_trigger=shutdown.wait,
                task_status=task_status,
            )
    finally:
        stopped.set()


async def _reset_leftovers(
    address: tuple[str, int], shutdown: trio.Event, graceful_timeout_s: float, stopped: trio.Event
) -> None:
    try:
        await shutdown.wait()
        await trio.sleep(graceful_timeout_s)
    finally:
        with trio.move_on_after(STUCK_AFTER_S, shield=True):
            await stopped.wait()
        reset_connections(address)


async def _listen(bind: str) -> socket.socket:
    parts = ADDRESS.fullmatch(bind)
    if parts is None or int(parts["port"]) > 65535:
        raise BindFailed(bind, "not HOST:PORT or [IPV6]:PORT")
    family = socket.AF_INET6 if parts["ipv6"] else socket.AF_INET
    host, port = parts["ipv6"] or parts["host"], int(parts["port"])
    try:
        found = await trio.socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.bind(found[0][4])
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
    except OSError as exc:
        raise BindFailed(bind, exc.strerror or str(exc), code=exc.errno) from exc
    except UnicodeError as exc:
        raise BindFailed(bind, "no name that a host can have") from exc
    return listening


def _base_url(address: tuple[str, int]) -> str:
    host = WILDCARDS.get(address[0], address[0])
    return f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"


@contextlib.contextmanager
def _borrowed_socket(fd: int) -> Iterator[socket.socket]:
    """Give another handle on `fd`: if a thread closes `fd` meanwhile, we still touch no wrong socket."""
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
    # Connecting a TCP socket to no address at all resets it at once (connect(2), AF_UNSPEC). Python's own
    # connect() can't say that. SO_LINGER resets only once the last handle closes; hypercorn sends FIN before.
    no_address = bytes(16)
    ctypes.CDLL(None).connect(connection.fileno(), no_address, len(no_address))


@contextlib.contextmanager
def sole_error_bare(*, layers: float) -> Iterator[None]:
    """Raise an error that is alone in its group as itself, up to `layers` groups deep: no nursery shows."""
    try:
        yield
    except BaseExceptionGroup as group:
        sole: BaseException = group
        while layers > 0 and isinstance(sole, BaseExceptionGroup) and len(sole.exceptions) == 1:
            sole = sole.exceptions[0]
            layers -= 1
        if sole is group:
            raise
        raise sole from sole.__cause__
