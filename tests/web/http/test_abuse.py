"""The daemon under abuse over raw connections: it goes on, answers others, and stops when told to."""

import contextlib
import math
import os
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

import greenroom.web.http.accepting
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.testing import FakeMachine
from greenroom.web.http.connections import Connection
from greenroom.web.http.limits import Limits
from greenroom.web.http.schemas import TikTokSessionErrorResponse
from greenroom.web.http.serving import open_server
from tests.web.http.abuse import (
    DRIPS,
    MALFORMED,
    VALID_H2C,
    WEBSOCKET,
    Address,
    ask,
    connect,
    drip,
    half_close_after_upgrade,
    measure,
    pipeline_and_read_nothing,
    read_all,
    read_answer,
    reset,
)
from tests.web.http.front import PATIENCE_S, Front, open_front, until
from tests.web.http.websockets import open_socket

POST = b"POST /tiktok/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
ODD_METHODS = [b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PUT", b"TRACE", b"get", b"!"]
ODD_TARGETS = [
    *(
        b"/health",
        b"/tiktok/session",
        b"/tiktok/session/%ff%00",
        b"/tiktok/session/..%2f",
        b"//",
        b"/%",
        b"*",
    ),
    *(b"/openapi.json", b"/?%ff=&&", b"http://localhost/leaks", b"http://localhost", b"/;x", b"/{}|", b"?"),
]
ODD_NAMES = [
    *(b"Origin", b"Authorization", b"Content-Type", b"Accept", b"Cookie", b"Range", b"If-None-Match", b"TE"),
    *(b"X-Request-Id", b"Idempotency-Key", b"Expect", b"Connection", b"Upgrade", b"Transfer-Encoding"),
    *(b"Content-Length", b"Content-Encoding", b"Access-Control-Request-Method", b"X-HTTP-Method-Override"),
    *(b"Access-Control-Request-Headers", b"If-Modified-Since", b"Trailer", b"Forwarded", b"HTTP2-Settings"),
]
ODD_VALUES = [
    *(b"", b"\xff\xfe", b"a" * 300, b",,,", b'"', b"=;=;", b"close", b"upgrade", b"websocket", b"h2c", b"0"),
    *(b"chunked", b"2", b"100-continue", b"http://x:y", b"http://[", b"POST", b"*", b"null", b"bytes=0-"),
    *(b"multipart/form-data; boundary=", b"application/json; charset=\xff", b"Bearer \xff", b"[", b"%00"),
]
SHORT = Limits(head_s=0.3, body_s=0.3, idle_s=0.3, write_s=0.3, linger_s=0.1)


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front on which sessions succeed at once."""
    async with open_front() as opened:
        yield opened


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """Return the accepted connections; later ones are added."""
    connections: list[Connection] = []
    run = Connection.run

    async def noted(connection: Connection) -> None:
        connections.append(connection)
        await run(connection)

    monkeypatch.setattr(Connection, "run", noted)
    return connections


def address_of(url: str) -> Address:
    """Return the address to connect to for a URL."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def descriptors() -> int:
    """Return how many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def hello(_scope: Any, receive: Any, send: Any) -> None:
    """An app that answers every request."""
    if _scope["type"] == "lifespan":
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100000")]})
    await send({"type": "http.response.body", "body": b"x" * 100_000})


# One request


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_request_is_refused_in_the_usual_shape_and_hurts_nobody(
    front: Front, name: str
) -> None:
    """The client gets an answer, its connection ends, one line is logged, and the daemon goes on."""
    with capture_logs() as logs:
        answer = await ask(address_of(front.url), MALFORMED[name])
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status in {400, 431, 501, 505}
    assert b"connection: close" in head.lower() or b"HTTP/1.0" in MALFORMED[name]
    failure = msgspec.json.decode(body, type=TikTokSessionErrorResponse)
    assert failure.error_details.code != "INTERNAL_ERROR"
    [entry] = logs
    assert (entry["event"], entry["log_level"], entry["status"]) == ("request refused", "info", status)
    assert entry["request_id"] == failure.error_details.request_id
    assert entry["code"] == failure.error_details.code
    assert f"X-Request-Id: {entry['request_id']}".encode() in head
    assert "secret" not in str(logs)
    assert (await front.client.get("/health")).status_code == 200
    assert front.events == []


async def test_upgrade_to_http2_is_ignored(front: Front) -> None:
    """The first request of Java's client or curl is answered as if it had not asked for HTTP/2."""
    async with await connect(address_of(front.url)) as stream:
        for _ in range(2):
            await stream.send_all(VALID_H2C)
            assert (await read_answer(stream, end=b"}")).startswith(b"HTTP/1.1 200")


async def test_websocket_at_an_unknown_path_answers_404(front: Front) -> None:
    """It gets the same answer as any other request, and its connection ends."""
    with capture_logs() as logs:
        answer = await ask(address_of(front.url), WEBSOCKET.replace(b"/health", b"/nothing"))
    head, _, body = answer.partition(b"\r\n\r\n")
    details = msgspec.json.decode(body, type=TikTokSessionErrorResponse).error_details
    assert (head.split()[1], details.code) == (b"404", "NOT_FOUND")
    [entry] = logs
    assert entry["request_id"] == details.request_id
    assert f"X-Request-Id: {details.request_id}".encode() in head


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Host: localhost", b"Host: evil.example", b"403"),
        (b"Upgrade: websocket", b"Upgrade: websocket\r\nOrigin: https://evil.example", b"403"),
    ],
)
async def test_websocket_is_guarded_like_everything_else(
    front: Front, old: bytes, new: bytes, status: bytes
) -> None:
    """A page of another origin or with another host name doesn't reach the route."""
    answer = await ask(address_of(front.url), WEBSOCKET.replace(old, new))
    assert answer.split()[1] == status


async def test_error_of_one_connection_reaches_no_other(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in a connection's task doesn't reach the server's nursery."""

    async def fail(_connection: Connection) -> None:
        raise BaseExceptionGroup("a defect", [RuntimeError("one"), ExceptionGroup("more", [KeyError()])])

    with capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_read", fail)
            assert await ask(address_of(front.url), GET) == b""
        assert (await front.client.get("/health")).status_code == 200
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("a connection failed", "error")]


async def test_random_requests_are_never_an_error(front: Front) -> None:
    """Any headers, path and method get an answer, unless the client has hung up."""
    random = Random(10)  # noqa: S311

    async def ask_one(request: bytes) -> None:
        async with await connect(address_of(front.url)) as stream:
            await stream.send_all(request)
            await stream.send_eof()
            with trio.fail_after(PATIENCE_S):
                answer = await read_all(stream)
        assert not answer.startswith(b"HTTP/1.1 500"), request

    with capture_logs() as logs:
        for _ in range(10):
            # All at once, because an answer whose request goes on is followed by a wait of half a second.
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    head = [
                        random.choice(ODD_METHODS) + b" " + random.choice(ODD_TARGETS) + b" HTTP/1.1",
                        b"Host: localhost",
                    ]
                    head += [random.choice(ODD_NAMES) + b": " + random.choice(ODD_VALUES) for _ in range(3)]
                    body = random.choice([b"", b"{}", b"0\r\n\r\n"])
                    nursery.start_soon(ask_one, b"\r\n".join(head) + b"\r\n\r\n" + body)
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    assert (await front.client.get("/health")).status_code == 200


# Crowds


async def test_crowd_that_drips_keeps_nobody_waiting(front: Front) -> None:
    """Its members still have time left when other clients have been answered."""
    async with trio.open_nursery() as nursery:
        for start in list(DRIPS.values()) * 25:
            nursery.start_soon(drip, address_of(front.url), start)
        await trio.sleep(0.1)
        for _ in range(3):
            await measure(address_of(front.url))
        assert len(nursery.child_tasks) == 100
        nursery.cancel_scope.cancel()
    assert front.events == []  # an incomplete request starts nothing


async def test_abusers_are_dropped_and_their_descriptors_come_back() -> None:
    """After their time is over, nothing of any kind of abuser is left, and no session has ended."""
    before = descriptors()
    async with open_server(hello, "127.0.0.1:0", limits=SHORT) as url:
        address = address_of(url)
        with trio.fail_after(PATIENCE_S * 2):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(half_close_after_upgrade, address)
                    nursery.start_soon(pipeline_and_read_nothing, address)
                    for start in DRIPS.values():
                        nursery.start_soon(drip, address, start)
            await until(lambda: descriptors() <= before + 5)  # the server's own descriptors
        assert (await ask(address, GET)).startswith(b"HTTP/1.1 200")
    assert descriptors() == before


async def test_abusers_do_not_hold_up_the_end() -> None:
    """The server stops while they still abuse it, long before their time is over."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            async with open_server(hello, "127.0.0.1:0", graceful_timeout_s=math.inf) as url:
                address = address_of(url)
                for start in DRIPS.values():
                    nursery.start_soon(drip, address, start)
                stuck = [await connect(address, receive_bytes=4096) for _ in range(4)]
                for stream in stuck:
                    await stream.send_all(GET * 50)
                await stuck[0].send_eof()
                await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        for stream in stuck:
            await read_all(stream)
            await stream.aclose()


@pytest.mark.parametrize("ticks", range(6))
async def test_client_that_has_just_connected_does_not_hold_up_the_end(ticks: int) -> None:
    """This holds however far the server is in accepting it."""
    with trio.fail_after(PATIENCE_S):
        async with open_server(hello, "127.0.0.1:0", graceful_timeout_s=math.inf) as url:
            await wait_all_tasks_blocked()
            clients = [socket.create_connection(address_of(url)) for _ in range(3)]
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
    for client in clients:
        client.close()


async def test_more_connections_than_may_be_push_out_the_oldest_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Idle connections keep nobody out. One line is logged."""
    monkeypatch.setattr(greenroom.web.http.accepting, "MAX_CONNECTIONS", 3)
    async with open_front(FakeMachine(launch_s=math.inf)) as front:
        address = address_of(front.url)
        async with await connect(address) as busy:
            await busy.send_all(POST)
            await until(lambda: bool(front.machine.browsers))
            with capture_logs() as logs:
                idle = []
                for _ in range(8):
                    idle.append(await connect(address))
                    await measure(address)
            with trio.fail_after(PATIENCE_S), pytest.raises(trio.BrokenResourceError):
                await idle[0].receive_some()
            assert front.events[-1].session.state is SessionState.LAUNCHING
            for stream in idle:
                await stream.aclose()
        assert [entry["event"] for entry in logs] == [
            "too many connections: resetting those that wait for their clients"
        ]


async def test_idle_connections_do_not_push_out_a_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is let in keeps the connection, even if nothing is said there for long."""
    monkeypatch.setattr(greenroom.web.http.accepting, "MAX_CONNECTIONS", 3)
    async with open_front() as front:
        path, address = await front.establish(), address_of(front.url)
        await front.client.aclose()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            idle = []
            for _ in range(8):
                idle.append(await connect(address))
                await measure(address)
            await socket.say(1, "", "initialize", sdkLanguage="python")
            assert (await socket.reply(1))["id"] == 1
            for stream in idle:
                await stream.aclose()


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(128, 64), (1024, 512), (1 << 20, 2000), (resource.RLIM_INFINITY, 2000)]
)
def test_connections_leave_descriptors_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, connections: int
) -> None:
    """Sessions need some too, however few there are."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert greenroom.web.http.accepting.max_connections() == connections


async def test_request_comes_before_hundreds_that_have_only_connected(
    served: list[Connection],
) -> None:
    """It came last and is answered while most of the others are still waiting; then they are accepted."""
    async with open_server(hello, "127.0.0.1:0") as url:
        await wait_all_tasks_blocked()
        with contextlib.ExitStack() as clients:
            for _ in range(300):
                clients.enter_context(socket.create_connection(address_of(url))).sendall(DRIPS["headers"])
            asker = clients.enter_context(socket.create_connection(address_of(url)))
            asker.sendall(GET)
            asker.setblocking(False)
            with trio.fail_after(PATIENCE_S):
                await trio.lowlevel.wait_readable(asker)
            assert asker.recv(100).startswith(b"HTTP/1.1 200")
            assert len(served) < 200
            await until(lambda: len(served) == 301)


async def test_clients_that_take_no_answer_keep_nobody_out(
    served: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is full of such clients, yet the next one is served at once."""
    monkeypatch.setattr(greenroom.web.http.accepting, "MAX_CONNECTIONS", 3)
    async with open_server(hello, "127.0.0.1:0", limits=Limits(write_s=math.inf)) as url:
        stuck = [await connect(address_of(url), receive_bytes=4096) for _ in range(3)]
        for stream in stuck:
            await stream.send_all(GET * 500)
        await until(lambda: sum(connection.is_writing for connection in served) == 3)
        async with await connect(address_of(url)) as stream:
            await stream.send_all(GET)
            with trio.fail_after(PATIENCE_S):
                assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")
        for stream in stuck:
            await stream.aclose()


async def test_no_descriptor_left_is_waited_for_and_logged_once() -> None:
    """A client that comes then is served as soon as a descriptor is free."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with open_server(hello, "127.0.0.1:0") as url:
        client = trio.socket.socket()
        fillers: list[int] = []
        with capture_logs() as logs:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 8, hard))
                with contextlib.suppress(OSError):
                    while True:
                        fillers.append(os.dup(client.fileno()))
                await client.connect(address_of(url))
                await until(lambda: bool(logs))
                await trio.sleep(3 * greenroom.web.http.accepting.ACCEPT_AGAIN_S)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for filler in fillers:
                    os.close(filler)
        async with trio.SocketStream(client) as stream:
            await stream.send_all(GET)
            with trio.fail_after(PATIENCE_S):
                assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")
    assert [entry["event"] for entry in logs] == [
        "too many connections: resetting those that wait for their clients"
    ]


# Sessions whose callers leave


@pytest.mark.parametrize(
    "ahead", [b"{}\r\n", GET, POST, b"\x00" * 100, b"x" * 70_000], ids=lambda ahead: f"{ahead[:8]!r}"
)
@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
async def test_caller_who_leaves_is_seen_whatever_it_sent_before(ahead: bytes, leave: str) -> None:
    """No session stays for a caller who is gone, and no error is logged."""
    with capture_logs() as logs:
        async with open_front(FakeMachine(launch_s=math.inf)) as front:
            stream = await connect(address_of(front.url))
            await stream.send_all(POST)
            await until(lambda: bool(front.machine.browsers))
            await stream.send_all(ahead)
            if leave == "reset":
                await reset(stream)
            elif leave == "half-close":
                await stream.send_eof()
            else:
                await stream.aclose()
            await until(lambda: front.events[-1].session.state is SessionState.ENDED)
            assert front.events[-1].session.reason is EndReason.CALLER_LEFT
            assert len({event.session.id for event in front.events}) == 1
            await stream.aclose()
    assert [entry for entry in logs if entry["log_level"] in {"warning", "error"}] == []


async def test_caller_who_leaves_with_its_answer_keeps_its_session() -> None:
    """Clients such as curl that close right after the answer have received it."""
    async with open_front(max_sessions=20) as front:
        async with trio.open_nursery() as nursery:

            async def create() -> None:
                stream = await connect(address_of(front.url))
                await stream.send_all(POST)
                assert b"200" in await read_answer(stream)
                await reset(stream)

            for _ in range(20):
                nursery.start_soon(create)
        await front.client.get("/health")
        assert [event for event in front.events if event.session.state is SessionState.ENDED] == []
        assert len(front.machine.browsers) == 20
