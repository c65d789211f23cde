"""Ways to abuse an HTTP server over raw connections. None of them may hurt other clients.

    python -m tests.web.http.abuse HOST:PORT [SECONDS]

abuses a server that runs, in all these ways, and exits with 1 if `GET /health` was ever slow or unanswered.
"""

import contextlib
import functools
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping

import trio

from tests.patience import patience

PATIENCE_S = patience(10.0)
SLOW_S = 0.1
ABUSES = "abuses"
DRIPPERS = 500
RESET = struct.pack("ii", 1, 0)

_HOST = b"Host: localhost\r\n"
_GET = b"GET /health HTTP/1.1\r\n" + _HOST
_POST = b"POST /tiktok/session HTTP/1.1\r\n" + _HOST
_H2C = _GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
_WEBSOCKET = (
    _GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_FRAME = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

WEBSOCKET = _WEBSOCKET + b'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="\r\n\r\n'
"""A proper handshake, except that an extension's value never ends."""

VALID_H2C = _H2C + b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
"""The upgrade to HTTP/2 that curl asks for."""

MALFORMED: Mapping[str, bytes] = {
    "h2c, settings no base64": _H2C + b"HTTP2-Settings: A\r\n\r\n",
    "h2c, settings of three bytes": _H2C + b"HTTP2-Settings: AAAA\r\n\r\n",
    "h2c, settings padded": _H2C + b"HTTP2-Settings: AAMAAABkAAQ=\r\n\r\n",
    "h2c, settings of other bytes": _H2C + b"HTTP2-Settings: \xff\xfe\r\n\r\n",
    "h2c, no settings": _H2C + b"\r\n",
    "h2c, settings twice": _H2C + b"HTTP2-Settings: AAMAAABk\r\n" * 2 + b"\r\n",
    "h2c, broken settings and a body": _H2C + b"HTTP2-Settings: A\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "HTTP/2 by prior knowledge, with a host": b"PRI * HTTP/2.0\r\n" + _HOST + b"\r\nSM\r\n\r\n",
    "websocket without a key": _WEBSOCKET.replace(b"Key", b"Kee") + b"\r\n",
    "websocket with a frame": _WEBSOCKET + b"\r\n" + _FRAME,
    "websocket with a ping of too many bytes": _WEBSOCKET + b"\r\n" + b"\x89\xfe\xff\xff" + bytes(200),
    "websocket, odd extensions": _WEBSOCKET + b"Sec-WebSocket-Extensions: \xff\r\n\r\n",
    "websocket, odd protocol": _WEBSOCKET + b"Sec-WebSocket-Protocol: \xff,\xfe\r\n\r\n",
    "websocket, odd version": _WEBSOCKET.replace(b"13", b"\xff") + b"\r\n",
    "websocket by POST": _WEBSOCKET.replace(b"GET", b"POST") + b"Content-Length: 0\r\n\r\n",
    "websocket among other upgrades": _GET + b"Upgrade: foo, WebSocket\r\nConnection: upgrade\r\n\r\n",
    "no request": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "no method": b" / HTTP/1.1\r\n" + _HOST + b"\r\n",
    "odd version": b"GET / HTTP/9.9\r\n" + _HOST + b"\r\n",
    "control characters": b"GET /\x00\x1b[2J HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no target": b"GET ?a HTTP/1.1\r\n" + _HOST + b"\r\n",
    "target without an end": b"GET http://[::1/health HTTP/1.1\r\n" + _HOST + b"\r\n",
    "target of another scheme": b"GET ftp://localhost/health HTTP/1.1\r\n" + _HOST + b"\r\n",
    "CONNECT": b"CONNECT localhost:22 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": b"GET /health HTTP/1.0\r\n\r\n",
    "two hosts": _GET + b"Host: evil.example\r\n\r\n",
    "blank in a header's name": _GET + b"X y: z\r\n\r\n",
    "blank before a colon": _GET + b"Authorization : Bearer secret\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that is none": _POST + b"Content-Length: -1\r\n\r\n",
    "length and chunks": _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another encoding": _POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "a chunk of no length": _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk of no length, where the headers alone are refused": b"PUT /health HTTP/1.1\r\n"
    + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "large headers": _GET + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "many headers": _GET + b"a: b\r\n" * 20_000 + b"\r\n",
    "a header without an end": _GET + b"X: " + b"y" * 200_000,
}
"""Requests that must be refused, each with a status from 400 on and the end of its connection."""


Address = tuple[str, int]
Abuse = Callable[[Address], Awaitable[object]]


async def connect(address: Address, *, receive_bytes: int | None = None) -> trio.SocketStream:
    """Connect to `address`, with a receive buffer of the given size."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    client = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        if receive_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await client.connect(address)
    except BaseException:
        client.close()
        raise
    return trio.SocketStream(client)


async def reset(stream: trio.SocketStream) -> None:
    """Close the connection with a TCP reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    await stream.aclose()


async def ask(address: Address, request: bytes) -> bytes:
    """Send `request`; return everything until the server closes the connection."""
    async with await connect(address) as stream:
        with trio.fail_after(PATIENCE_S):
            try:
                await stream.send_all(request)
                return await read_all(stream)
            except trio.BrokenResourceError:
                return b""


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Return everything until the other side closes or resets the connection."""
    received = bytearray()
    try:
        async for data in stream:
            received += data
    except trio.BrokenResourceError:
        pass
    return bytes(received)


async def read_answer(stream: trio.SocketStream, *, end: bytes = b"\r\n\r\n") -> bytes:
    """Return everything up to `end`; without it, until there is an answer with its headers."""
    received = b""
    while end not in received:
        data = await stream.receive_some()
        if not data:
            break
        received += data
    return received


# What a client can do to be a burden. Each function returns when it has done enough.


async def half_close_after_upgrade(address: Address) -> None:
    """Ask for HTTP/2, speak it, and keep a half-closed connection."""
    async with await connect(address) as stream:
        await stream.send_all(VALID_H2C + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        await stream.send_eof()
        await read_all(stream)


async def pipeline_and_read_nothing(address: Address) -> None:
    """Send requests as long as they are accepted, read no answer, and reset the connection."""
    stream = await connect(address, receive_bytes=4096)
    with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(1):
        while True:
            await stream.send_all((_GET + b"\r\n") * 100)
    await reset(stream)


async def drip(address: Address, start: bytes, *, every_s: float = 1) -> None:
    """Send `start`, then endless headers or an endless body byte by byte, until the server stops it."""
    async with await connect(address) as stream:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(start)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_slowly, stream, every_s)
                await read_all(stream)
                nursery.cancel_scope.cancel()


async def _send_slowly(stream: trio.SocketStream, every_s: float) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        while True:
            await trio.sleep(every_s)
            await stream.send_all(b"x")


DRIPS: Mapping[str, bytes] = {
    "headers": _GET + b"X: ",
    "a body": _POST + b"Content-Length: 60000\r\n\r\n",
    "chunks": _POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n",
    "a request line": b"",
}


async def run(address: Address, *, seconds: float) -> None:
    """Abuse the server in all ways at once, for so many seconds."""
    abuses: list[Abuse] = [functools.partial(ask, request=request) for request in MALFORMED.values()]
    abuses += [half_close_after_upgrade, pipeline_and_read_nothing]

    async def repeat(abuse: Callable[..., Awaitable[object]]) -> None:
        while True:
            await abuse(address)
            await trio.sleep(0.1)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for start in [*DRIPS.values()] * (DRIPPERS // len(DRIPS)):
                nursery.start_soon(drip, address, start)
            for abuse in abuses:
                nursery.start_soon(repeat, abuse)


async def measure(address: Address) -> float:
    """Return how many seconds `/health` takes. Raises unless it answers 200."""
    started = time.perf_counter()
    answer = await ask(address, _GET + b"Connection: close\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"/health answers {answer[:40]!r}")
    return time.perf_counter() - started


async def measure_for(address: Address, *, seconds: float) -> list[float]:
    """Return the times that `/health` took over so many seconds, shortest first."""
    taken: list[float] = []
    with trio.move_on_after(seconds):
        while True:
            taken.append(await measure(address))
            await trio.sleep(0.05)
    return sorted(taken)


def main(bind: str, seconds: str = "15", *, abuses: str = "") -> None:
    """Run from the command line. One process abuses; another, which does nothing else, measures."""
    host, _, port = bind.rpartition(":")
    address = (host.strip("[]"), int(port))
    if abuses:
        trio.run(functools.partial(run, address, seconds=float(seconds)))
        return
    with subprocess.Popen([sys.executable, "-m", "tests.web.http.abuse", bind, seconds, ABUSES]) as abuser:
        taken = trio.run(functools.partial(measure_for, address, seconds=float(seconds)))
    usual = taken[int(len(taken) * 0.99)]
    print(f"/health took {usual * 1000:.0f} ms in 99 of 100 cases, {taken[-1] * 1000:.0f} ms at most")
    sys.exit(taken[-1] > SLOW_S or abuser.returncode != 0)


if __name__ == "__main__":
    main(*sys.argv[1:3], abuses="".join(sys.argv[3:]))
