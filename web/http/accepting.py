"""Accepts connections and decides whose turn it is: hundreds of idle ones must not delay a request."""

import collections
import contextlib
import errno
import math
import resource
import socket
import ssl

import attrs
import structlog
import trio
from hypercorn.typing import ASGIFramework

from greenroom.web.http.bodies import LargeBodies
from greenroom.web.http.connections import SAFE_METHODS, Connection
from greenroom.web.http.limits import Limits
from greenroom.web.http.protocol import Stage

MAX_CONNECTIONS = 2000
DESCRIPTORS_SHARE = 2  # connections take at most one in so many of the file descriptors there may be
ACCEPT_AGAIN_S = 0.1
TELL_AGAIN_S = 60.0
# Accepting costs 20 us, taking in 100 us, and each turn delays clients that are being answered.
ACCEPTED_IN_A_TURN = 100
TAKEN_IN_A_TURN = 8
_GLANCE_BYTES = 2048
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = structlog.get_logger("greenroom.web")


def max_connections() -> int:
    """Return how many connections are allowed under the current limit of file descriptors."""
    descriptors, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, descriptors // DESCRIPTORS_SHARE)


@attrs.define(eq=False, kw_only=True)
class Acceptor:
    """Accepts connections and serves each in a task of `nursery`. These tasks never fail.

    Each turn accepts all connections that have come. Those that have sent a whole request without a body are
    served at once. Of the others, each turn takes in a few from both ends of the queue, so that neither the
    first nor the last one has to wait for all of them.
    """

    app: ASGIFramework
    limits: Limits
    large: LargeBodies
    nursery: trio.Nursery
    tls: ssl.SSLContext | None = None
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _queue: collections.deque[socket.socket] = attrs.field(factory=collections.deque, init=False)
    _connections: dict[Connection, None] = attrs.field(factory=dict, init=False)
    _most: int = attrs.field(factory=max_connections, init=False)
    _shortages: int = attrs.field(default=0, init=False)
    _told_at: float = attrs.field(default=-math.inf, init=False)

    async def run(self, listening: socket.socket) -> None:
        """Accept connections until `stop`, then close `listening`, which must be non-blocking."""
        with listening, contextlib.closing(self), self._accepting:
            while True:
                if self._queue:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(listening)
                if self._accepting.cancel_called:
                    return  # stopped by another task since; `stop` would miss connections accepted now
                try:
                    self._accept_some(listening)
                except OSError as exc:  # no file descriptor or no memory left
                    self._make_room(str(exc))
                    await trio.sleep(ACCEPT_AGAIN_S)
                self._take_in()

    async def stop(self) -> None:
        """Accept no more connections, and end each one once its current request is answered."""
        self._accepting.cancel(reason="the server stops")
        self.close()
        for connection in tuple(self._connections):
            await connection.stop()

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS with `context` from the next connection on."""
        self.tls = context

    def close(self) -> None:
        """Close the connections that have not been taken in."""
        while self._queue:
            self._queue.popleft().close()

    def _accept_some(self, listening: socket.socket) -> None:
        """Accept the connections that have come. Raises OSError if the system has no room for another."""
        for _ in range(ACCEPTED_IN_A_TURN):
            try:
                client, _address = listening.accept()
            except OSError as exc:
                if exc.errno in _NO_ROOM:
                    raise
                return  # none is left, or the next one has gone already
            if not self._has_room():
                client.close()
            elif _asks(client):
                self._start(client)
            else:
                self._queue.append(client)

    def _has_room(self) -> bool:
        return len(self._connections) + len(self._queue) < self._most or self._make_room(
            f"there are {self._most}"
        )

    def _take_in(self) -> None:
        for turn in range(min(TAKEN_IN_A_TURN, len(self._queue))):
            self._start(self._queue.pop() if turn % 2 else self._queue.popleft())

    def _start(self, client: socket.socket) -> None:
        try:
            ends = _ends(client)
        except OSError:  # reset already
            client.close()
            return
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        connection = Connection(
            app=self.app,
            stream=stream,
            limits=self.limits,
            large=self.large,
            server=ends[0],
            client=ends[1],
        )
        self._connections[connection] = None
        self.nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._connections.pop(connection, None)

    def _make_room(self, why: str) -> bool:
        """Reset the oldest connection that waits for its client; return whether there was one.

        So clients that open connections and send nothing, or read no answer, keep nobody out. A WebSocket
        stays even if nothing is said there: whoever opened it was let in, and may be a client's Playwright.
        Logged at most once a minute.
        """
        self._shortages += 1
        if trio.current_time() - self._told_at >= TELL_AGAIN_S:
            _log.warning(
                "too many connections: resetting those that wait for their clients",
                why=why,
                times=self._shortages,
            )
            self._told_at, self._shortages = trio.current_time(), 0
        asking = (
            connection for connection in self._connections if connection.stage in {Stage.HEAD, Stage.BODY}
        )
        taking = (connection for connection in self._connections if connection.is_writing)
        oldest = next(asking, None) or next(taking, None)
        if oldest is not None:
            oldest.abort()
            del self._connections[oldest]
        elif self._queue:
            self._queue.popleft().close()
        else:
            return False
        return True


def _ends(client: socket.socket) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    """Return a connection's address on our side and on the client's; none for a Unix socket."""
    if client.family == socket.AF_UNIX:
        return None, None
    return client.getsockname()[:2], client.getpeername()[:2]


def _asks(client: socket.socket) -> bool:
    """Return whether a client has sent a whole request that needs no body. Leaves the request unread."""
    try:
        sent = client.recv(_GLANCE_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
    method, _, rest = sent.partition(b" ")
    return method in SAFE_METHODS and b"\r\n\r\n" in rest
