"""One client's connection: its limits, under virtual time, on a stream in memory."""

import contextlib
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import wsproto
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from structlog.testing import capture_logs
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from greenroom.web.http.connections import Connection
from greenroom.web.http.limits import Limits
from tests.web.http.abuse import read_all

LIMITS = Limits(spread=0)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
Pair = Callable[[], tuple[trio.StapledStream[Any, Any], trio.StapledStream[Any, Any]]]


class App:
    """An app that takes its time, and records what happens to each request."""

    def __init__(
        self, *, takes_s: float = 0, error: BaseException | None = None, body: bytes = b"ok"
    ) -> None:
        self.takes_s = takes_s
        self.error = error
        self.body = body
        self.told: list[str] = []

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer with the request's path and its body."""
        assert scope["type"] == "http"
        body, is_whole = b"", False
        while not is_whole:
            message: Any = await receive()
            body, is_whole = body + message["body"], not message["more_body"]
        self.told.append(f"{scope['method']} {scope['path']} {body.decode()}".strip())
        try:
            await trio.sleep(self.takes_s)
        except trio.Cancelled:
            self.told.append(f"cancelled at {trio.current_time():g}")
            raise
        if self.error is not None:
            raise self.error
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(self.body))],
            }
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def connect(
    app: Any, pair: Pair = memory_stream_pair
) -> AsyncIterator[tuple[trio.StapledStream[Any, Any], Connection]]:
    """Serve one client for the length of the block. The connection must be over at its end."""
    client, server = pair()
    connection = Connection(app=app, stream=server, limits=LIMITS)
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            yield client, connection


def statuses(received: bytes) -> list[int]:
    """Return the status of each answer."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


# Limits


@pytest.mark.parametrize(
    ("start", "ends_at", "answers"),
    [
        (b"", LIMITS.head_s, []),
        (b"\r\n", LIMITS.head_s, []),
        (b"G", LIMITS.head_s, [408]),
        (GET[:-2], LIMITS.head_s, [408]),
        (GET + b"\r\n", LIMITS.idle_s, [200]),
        (GET + b"G", LIMITS.head_s, [200, 408]),
        (POST[:-1], LIMITS.body_s, [408]),
        (
            POST.replace(b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n1"),
            LIMITS.body_s,
            [408],
        ),
    ],
)
async def test_client_that_stops_sending_is_dropped_when_its_time_is_over(
    autojump_clock: MockClock, start: bytes, ends_at: float, answers: list[int]
) -> None:
    """Each part of a request has a time limit. The client gets an answer if a request had begun."""
    async with connect(App()) as (client, _):
        await client.send_all(start)
        assert statuses(await read_all(client)) == answers
        assert trio.current_time() == ends_at


@pytest.mark.parametrize("start", [GET[:-2] + b"X: ", POST.replace(b" 2\r\n\r\n{}", b" 60000\r\n\r\n")])
async def test_client_that_drips_gains_no_time(autojump_clock: MockClock, start: bytes) -> None:
    """A byte a second doesn't extend the limit: it applies to the whole."""
    async with connect(App()) as (client, _), trio.open_nursery() as nursery:
        await client.send_all(start)

        async def drip() -> None:
            while True:
                await trio.sleep(1)
                await client.send_all(b"x")

        nursery.start_soon(drip)
        assert statuses(await read_all(client)) == [408]
        assert trio.current_time() <= LIMITS.body_s
        nursery.cancel_scope.cancel()


async def test_crowd_is_not_refused_all_at_once(autojump_clock: MockClock) -> None:
    """The refusals of clients that came together are spread out, so that others get their turn."""
    ends: list[float] = []
    async with trio.open_nursery() as nursery:

        async def stop_sending() -> None:
            client, server = memory_stream_pair()
            await client.send_all(GET[:-2])
            nursery.start_soon(Connection(app=App(), stream=server, limits=Limits()).run)
            assert statuses(await read_all(client)) == [408]
            ends.append(trio.current_time())

        for _ in range(20):
            nursery.start_soon(stop_sending)
    assert len(set(ends)) == 20
    assert LIMITS.head_s <= min(ends) < max(ends) <= LIMITS.head_s * 1.2


async def test_client_that_does_not_read_is_dropped(autojump_clock: MockClock) -> None:
    """A client that reads no answers keeps nothing alive, however many requests it has sent."""
    app = App()
    async with connect(app, lockstep_stream_pair) as (client, _):
        await client.send_all(GET * 20)
    assert (app.told, trio.current_time()) == (["GET /"], LIMITS.write_s)


async def test_slow_reader_gets_a_long_answer(autojump_clock: MockClock) -> None:
    """The write timeout applies to each piece of an answer, not to the whole answer."""
    app = App(body=b"x" * 300_000)
    received = b""
    async with connect(app, lockstep_stream_pair) as (client, _):
        await client.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        while data := await client.receive_some(64 * 1024):
            received += data
            await trio.sleep(LIMITS.write_s / 2)
    assert received.endswith(b"x" * 300_000)
    assert trio.current_time() > LIMITS.write_s


async def test_client_that_never_closes_is_not_waited_for(autojump_clock: MockClock) -> None:
    """After the last answer a client has a moment to read it, whatever else it sends."""
    async with connect(App()) as (client, _), trio.open_nursery() as nursery:
        await client.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

        async def go_on() -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await client.send_all(b"more")
                    await trio.sleep(0.1)

        nursery.start_soon(go_on)
        assert statuses(await read_all(client)) == [200]
    assert trio.current_time() == pytest.approx(LIMITS.linger_s, abs=0.2)


# Leaving


AHEAD = [b"", b"\r\n", b"{}\r\n", GET, POST * 5, b"\xff" * 1000, b"x" * LIMITS.ahead_bytes]


@pytest.mark.parametrize("ahead", AHEAD, ids=lambda ahead: f"{ahead[:8]!r}{len(ahead)}")
@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
async def test_leaving_is_seen_whatever_came_before_it(
    autojump_clock: MockClock, ahead: bytes, apart: bool
) -> None:
    """A request that changes something is cancelled as soon as its client has left."""
    app = App(takes_s=math.inf)
    async with connect(app) as (client, _):
        await client.send_all(POST if apart else POST + ahead)
        await trio.sleep(3)
        await client.send_all(ahead if apart else b"")
        await trio.sleep(4)
        await client.aclose()
    assert app.told == ["POST / {}", "cancelled at 7"]


async def test_client_that_sends_too_much_ahead_is_dropped(autojump_clock: MockClock) -> None:
    """Data that can't be buffered would hide the client's leaving, so such a client is not served."""
    app = App(takes_s=math.inf)
    async with connect(app) as (client, _):
        await client.send_all(POST)
        await trio.sleep(3)
        await client.send_all(b"x" * (LIMITS.ahead_bytes + 1))
        assert await read_all(client) == b""
    assert app.told == ["POST / {}", "cancelled at 3"]


async def test_safe_request_is_answered_though_its_client_stops_sending(autojump_clock: MockClock) -> None:
    """`printf ... | nc -N` closes its sending side and then reads the answer."""
    async with connect(App(takes_s=LIMITS.half_closed_s / 2)) as (client, _):
        await client.send_all(GET)
        await client.send_eof()
        assert statuses(await read_all(client)) == [200]


async def test_safe_request_without_a_client_goes_on_only_for_a_moment(autojump_clock: MockClock) -> None:
    """There is no way to know whether such a client still reads."""
    app = App(takes_s=math.inf)
    async with connect(app) as (client, _):
        await client.send_all(GET)
        await client.send_eof()
        assert await read_all(client) == b""
    assert app.told == ["GET /", f"cancelled at {LIMITS.half_closed_s:g}"]


# Requests


async def test_pipelined_requests_are_answered_in_turn(autojump_clock: MockClock) -> None:
    """They are answered one after the other. Line breaks between them do no harm."""
    app = App(takes_s=1)
    async with connect(app) as (client, _):
        await client.send_all(POST + b"\r\n" + GET.replace(b"/ ", b"/second ") + b"\r\n\r\n" + POST)
        await client.send_all(GET.replace(b"/ HTTP", b"/last HTTP").replace(b"1.1", b"1.0"))
        assert statuses(await read_all(client)) == [200] * 4
    assert app.told == ["POST / {}", "GET /second", "POST / {}", "GET /last"]


async def test_body_in_the_smallest_chunks_arrives_whole(autojump_clock: MockClock) -> None:
    """It arrives whole however it is cut up, with a 100 Continue if the client asks for one."""
    app = App()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connect(app) as (client, _):
        await client.send_all(head + b"1\r\na\r\n" * 500 + b"0\r\n\r\n")
        await trio.sleep(1)
        await client.send_eof()
        assert statuses(await read_all(client)) == [100, 200]
    assert app.told == ["POST / " + "a" * 500]


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
async def test_body_announced_too_long_is_refused_unread(autojump_clock: MockClock, expect: bytes) -> None:
    """The client learns it before it sends any of the body."""
    app = App()
    async with connect(app) as (client, _):
        await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\n" + expect + b"Content-Length: 65537\r\n\r\n")
        assert statuses(await read_all(client)) == [413]
    assert app.told == []


async def test_request_reaches_the_app_once_it_is_complete(autojump_clock: MockClock) -> None:
    """Slow clients cost the app nothing, however many there are."""
    scopes: list[Scope] = []
    app = App()

    async def noting(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    async with connect(noting) as (client, _):
        await client.send_all(POST[:-1])
        await trio.sleep(1)
        assert scopes == []
        await client.send_all(POST[-1:])
        await trio.sleep(1)
        await client.send_eof()
        assert statuses(await read_all(client)) == [200]
    assert app.told == ["POST / {}"]


@pytest.mark.parametrize(("size", "answers"), [(LIMITS.body_bytes, [200]), (LIMITS.body_bytes + 1, [413])])
async def test_body_in_chunks_is_kept_up_to_its_limit(
    autojump_clock: MockClock, size: int, answers: list[int]
) -> None:
    """A body without an announced length is refused when it gets too long."""
    app = App()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connect(app) as (client, _):
        await client.send_all(head + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
        assert statuses(await read_all(client)) == answers
    assert len(app.told) == answers.count(200)


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"/a%20b?c", b"a", "/a b"),
        (b"http://other:80/x?y", b"other:80", "/x"),
        (b"HTTP://[::1]:8700", b"[::1]:8700", "/"),
    ],
)
async def test_target_may_be_an_address(
    autojump_clock: MockClock, target: bytes, host: bytes, path: str
) -> None:
    """As RFC 9112 says, the host in the target counts, not the header."""
    scopes: list[Any] = []

    async def app(scope: Any, _receive: object, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"not sent with 204"})

    async with connect(app) as (client, _):
        await client.send_all(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = await read_all(client)
        assert (statuses(received), received[-4:]) == ([204], b"\r\n\r\n")
    assert (scopes[0]["path"], dict(scopes[0]["headers"])[b"host"]) == (path, host)


async def test_websocket_works_until_its_client_leaves(autojump_clock: MockClock) -> None:
    """Text is echoed, however long the pauses, and the app learns of the end."""
    told: list[str] = []

    async def echo(scope: Scope, receive: Any, send: Any) -> None:
        assert (scope["type"], (await receive())["type"]) == ("websocket", "websocket.connect")
        await send({"type": "websocket.accept"})
        try:
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
        finally:
            told.append("over")

    peer = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    async with connect(echo) as (client, _):
        await client.send_all(peer.send(wsproto.events.Request(host="a", target="/")))
        peer.receive_data(bytes(await client.receive_some()))
        for text in ("a", "b"):
            await trio.sleep(LIMITS.idle_s * 3)
            await client.send_all(peer.send(wsproto.events.TextMessage(data=text)))
            peer.receive_data(bytes(await client.receive_some()))
        await client.aclose()
    heard = [event.data for event in peer.events() if isinstance(event, wsproto.events.TextMessage)]
    assert (heard, told) == (["a", "b"], ["over"])


# What goes wrong


class _Broken(trio.abc.HalfCloseableStream):
    """A stream that fails, as no stream should, in one of its methods."""

    def __init__(self, method: str, error: BaseException, stream: trio.StapledStream[Any, Any]) -> None:
        self._method, self._error, self._stream = method, error, stream

    async def _do(self, method: str, *args: Any) -> Any:
        if method == self._method:
            raise self._error
        return await getattr(self._stream, method)(*args)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._do("send_all", bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def send_eof(self) -> None:
        await self._do("send_eof")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        result: bytes = await self._do("receive_some", max_bytes)
        return result

    async def aclose(self) -> None:
        await self._do("aclose")


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), ExceptionGroup("defects", [KeyError(), ValueError()])], ids=repr
)
@pytest.mark.parametrize("method", ["send_all", "receive_some", "send_eof", "aclose"])
async def test_defect_below_a_connection_is_contained_and_logged_once(
    autojump_clock: MockClock, method: str, error: Exception
) -> None:
    """Whatever a connection raises ends only that connection."""
    client, server = memory_stream_pair()
    await client.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    with capture_logs() as logs:
        await Connection(app=App(), stream=_Broken(method, error, server), limits=LIMITS).run()
    assert [entry["log_level"] for entry in logs] == ["error"]
    await client.aclose()


@pytest.mark.parametrize("error", [OSError("gone"), trio.BrokenResourceError("gone")], ids=repr)
@pytest.mark.parametrize("method", ["send_all", "receive_some", "send_eof", "aclose"])
async def test_client_that_leaves_is_no_error(
    autojump_clock: MockClock, method: str, error: Exception
) -> None:
    """Clients come and go. Nothing is logged."""
    client, server = memory_stream_pair()
    await client.send_all(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    with capture_logs() as logs:
        await Connection(app=App(), stream=_Broken(method, error, server), limits=LIMITS).run()
    assert logs == []
    await client.aclose()


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), ExceptionGroup("defects", [KeyError(), ValueError()])], ids=repr
)
async def test_app_that_fails_answers_500_and_is_logged_once(
    autojump_clock: MockClock, error: Exception
) -> None:
    """The client learns the request's id and nothing about the error."""
    with capture_logs() as logs:
        async with connect(App(error=error)) as (client, _):
            await client.send_all(GET.replace(b"\r\n\r\n", b"\r\nX-Request-Id: mine\r\n\r\n"))
            received = await read_all(client)
    assert statuses(received) == [500]
    assert b"defect" not in received
    assert b'"request_id":"mine"' in received
    [entry] = logs
    assert (entry["event"], entry["log_level"], entry["request_id"]) == ("request refused", "error", "mine")
    assert entry["exc_info"].exceptions


async def test_app_that_fails_within_its_answer_breaks_it_off(autojump_clock: MockClock) -> None:
    """An incomplete answer must not look complete."""

    async def app(_scope: Any, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a defect")

    with capture_logs() as logs:
        async with connect(app) as (client, _):
            await client.send_all(GET)
            received = await read_all(client)
    assert received.endswith(b"4\r\nhalf\r\n")
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_app_that_sends_nonsense_answers_500(autojump_clock: MockClock) -> None:
    """An app's malformed answer is treated like any other defect."""

    async def app(_scope: Any, _receive: object, send: Any) -> None:
        await send({"type": "websocket.accept"})

    with capture_logs() as logs:
        async with connect(app) as (client, _):
            await client.send_all(GET)
            assert statuses(await read_all(client)) == [500]
    assert len(logs) == 1


@pytest.mark.parametrize("start", [GET[:-2], POST[:-1]])
async def test_stopped_connection_does_not_wait_for_a_request(
    autojump_clock: MockClock, start: bytes
) -> None:
    """A request that hasn't arrived when the server stops is not waited for."""
    async with connect(App()) as (client, connection):
        await client.send_all(start)
        await trio.sleep(1)
        await connection.stop()
        assert await read_all(client) == b""
    assert trio.current_time() == 1


@pytest.mark.parametrize("stopped_at", [0.0, 1.0])
async def test_stopped_connection_does_not_wait_for_a_client_that_does_not_read(
    autojump_clock: MockClock, stopped_at: float
) -> None:
    """A client that doesn't read its answer delays the end for a moment at most."""
    async with connect(App(takes_s=0.5), lockstep_stream_pair) as (client, connection):
        await client.send_all(GET)
        await trio.sleep(stopped_at)
        await connection.stop()
    assert trio.current_time() == max(0.5, stopped_at) + LIMITS.linger_s


async def test_stopped_connection_answers_the_current_request_and_no_more(autojump_clock: MockClock) -> None:
    """An idle connection ends at once."""
    async with connect(App(takes_s=5)) as (client, connection):
        await client.send_all(GET * 2)
        await trio.sleep(1)
        await connection.stop()
        received = await read_all(client)
        assert statuses(received) == [200]
        assert b"\r\nconnection: close\r\n" in received.lower()
    async with connect(App()) as (client, connection):
        await wait_all_tasks_blocked()
        await connection.stop()
        assert await read_all(client) == b""
    assert trio.current_time() < 10
