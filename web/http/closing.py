"""The two ways to close a connection: let the client read to the end, or reset it."""

import contextlib
import socket
import struct

import trio

_PIECE_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # on, after 0 seconds


async def let_read_the_end(
    stream: trio.SSLStream[trio.SocketStream] | trio.abc.HalfCloseableStream, linger_s: float
) -> None:
    """Close our side, and for a while drop what still comes.

    If data that we have not read were still there on closing, TCP would reset the connection, and the client
    would lose an answer that it has not read yet.
    """
    with trio.move_on_after(linger_s):
        if isinstance(stream, trio.SSLStream):
            stream = await _end_tls(stream)
        await stream.send_eof()
        while await stream.receive_some(_PIECE_BYTES):
            pass


async def _end_tls(stream: trio.SSLStream[trio.SocketStream]) -> trio.SocketStream:
    """Say goodbye in TLS, wait for the client's, and return what is beneath."""
    below = stream.transport_stream
    with contextlib.suppress(
        trio.BrokenResourceError, trio.BusyResourceError
    ):  # it goes on sending, or has left
        await stream.unwrap()
    return below


def reset_on_close(stream: trio.abc.HalfCloseableStream) -> None:
    """Make closing the stream reset its connection."""
    if isinstance(stream, trio.SocketStream):
        with contextlib.suppress(OSError):  # reset already
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
