"""The way for a client's own Playwright, over real HTTP and WebSockets, with a fake browser."""

import contextlib
import json
import math
from typing import Any

import msgspec
import pytest
import trio

from greenroom.actors.lifecycle import EndReason
from greenroom.actors.relay.pump import MAX_UNREAD_BYTES
from greenroom.actors.session.clients import MAX_CLIENTS
from greenroom.actors.testing import FakeMachine
from greenroom.actors.testing_driver import CONTEXT, FRAME, PAGE, FakeDriver
from greenroom.supervisor.api import open_supervisor
from greenroom.web.http.app import create_app
from greenroom.web.http.limits import Limits
from greenroom.web.http.serving import open_server
from greenroom.web.metrics.metrics import Metrics
from tests.web.http.front import ALL, PATIENCE_S, Front, make_settings, open_front, until
from tests.web.http.websockets import Refusal, Socket, open_socket

TOKEN = "a-token-of-enough-characters"


async def begin(socket: Socket) -> list[dict[str, Any]]:
    """Begin as Playwright does; return what is shown."""
    await socket.say(1, "", "initialize", sdkLanguage="python")
    shown = []
    while "id" not in (message := json.loads(await socket.receive())):
        shown.append(message["params"])
    return shown


def drivers(front: Front) -> list[FakeDriver]:
    return [driver for browser in front.machine.browsers.values() for driver in browser.drivers]


async def info(front: Front, path: str) -> dict[str, Any]:
    session: dict[str, Any] = (await front.client.get(path)).json()["session"]
    return session


async def test_client_is_relayed_until_it_leaves() -> None:
    """It sees its page, calls it, and the session goes on without it."""
    async with open_front() as front:
        path = await front.establish()
        address = (await front.client.get(f"{path}/playwright")).json()
        assert (await front.client.get(path)).json()["playwright"] == address["address"]
        assert address["address"] == f"{front.url.replace('http', 'ws', 1)}{path}/playwright"
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            types = {params["type"] for params in await begin(socket)}
            assert {"Page", "BrowserContext"} <= types
            assert "LocalUtils" not in types
            await socket.say(2, PAGE, "reload")
            assert await socket.reply(2) == {"id": 2, "result": {}}
            await socket.say("c3", PAGE, "setDockTile")
            assert "error" in await socket.reply("c3")
            seen = (await front.client.get(f"{path}/playwright")).json()
            assert (seen["clients"], seen["refused_calls"]) == (1, 1)
        with trio.fail_after(PATIENCE_S):
            while (await info(front, path))["clients"]:
                await trio.sleep(0.01)
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            await begin(socket)
        assert (await info(front, path))["state"] == "live"


async def test_session_that_ends_closes_its_clients_with_the_reason() -> None:
    """1001, as a server that goes away says it."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            await begin(socket)
            assert (await front.client.delete(path)).status_code == 204
            assert await socket.closed() == (1001, "the session has ended: deleted")


async def test_closed_context_ends_the_session() -> None:
    """The client gets its answer, then the reason."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            await begin(socket)
            await socket.say(2, CONTEXT, "close")
            assert await socket.reply(2) == {"id": 2, "result": {}}
            assert await socket.closed() == (1001, "the session has ended: closed_by_client")
        with trio.fail_after(PATIENCE_S):
            while (session := await info(front, path))["state"] != "ended":
                await trio.sleep(0.01)
        assert session["end_reason"] == EndReason.CLOSED_BY_CLIENT.value


async def test_client_that_leaves_right_after_it_has_closed_the_context_ends_it_all_the_same() -> None:
    """As a program does that ends there."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            await begin(socket)
            await socket.say(2, CONTEXT, "close")
        with trio.fail_after(PATIENCE_S):
            while (session := await info(front, path))["state"] != "ended":
                await trio.sleep(0.01)
        assert session["end_reason"] == EndReason.CLOSED_BY_CLIENT.value


async def test_handshake_is_refused_in_the_shape_of_all_errors() -> None:
    """Before the session exists, is live, or after its end, and while there are too many clients."""
    async with open_front(FakeMachine(launch_s=math.inf)) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.create)
        await until(lambda: bool(front.machine.browsers))
        [launching] = (await front.client.get("/tiktok/session")).json()["sessions"]
        assert await refusal(front, f"/tiktok/session/{launching['id']}") == (409, "NOT_LIVE")
        assert await refusal(front, "/tiktok/session/none") == (404, "SESSION_NOT_FOUND")
        nursery.cancel_scope.cancel()
    async with open_front() as front:
        path = await front.establish()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MAX_CLIENTS):
                await stack.enter_async_context(open_socket(f"{front.url}{path}/playwright"))
            assert await refusal(front, path) == (429, "TOO_MANY_CLIENTS")
        await front.client.delete(path)
        assert await refusal(front, path) == (410, "SESSION_ENDED")
        assert (await front.client.get(f"{path}/playwright")).status_code == 410


async def refusal(front: Front, path: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        async with open_socket(f"{front.url}{path}/playwright", headers):
            pass
    return refused.value.status, refused.value.code


async def test_guards_stand_before_the_relay() -> None:
    """A token is needed if the daemon has one, and web pages are kept out."""
    async with open_front(token=TOKEN) as front:
        front.client.headers["Authorization"] = f"Bearer {TOKEN}"
        path = await front.establish()
        right = (b"Authorization", f"Bearer {TOKEN}".encode())
        assert await refusal(front, path) == (401, "UNAUTHORIZED")
        page = (right, (b"Origin", b"https://evil.example"))
        assert await refusal(front, path, page) == (403, "ORIGIN_NOT_ALLOWED")
        async with open_socket(f"{front.url}{path}/playwright", (right,)) as socket:
            await begin(socket)


@pytest.mark.parametrize("url", ["{url}/health", "http://localhost:{port}/", "http://127.1:{port}/x"])
async def test_page_is_not_sent_to_the_daemon(url: str) -> None:
    """Under none of its names."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            await begin(socket)
            port = front.url.rpartition(":")[2]
            await socket.say(2, FRAME, "goto", url=url.format(url=front.url, port=port))
            reply = msgspec.json.encode(await socket.reply(2))
            assert b"the daemon's own address" in reply
            assert [sent["method"] for sent in drivers(front)[0].sent] == ["initialize"]


@pytest.mark.parametrize(
    ("attack", "code"),
    [(b"no json", 1007), (b'{"id":1,', 1007), (b"[" * 100_000, 1007), (b"\0", 1007)],
    ids=["text", "cut", "deep", "zero"],
)
async def test_garbage_ends_one_client_and_nothing_else(attack: bytes, code: int) -> None:
    """Another one of the same session goes on."""
    async with open_front() as front:
        path = await front.establish()
        async with (
            open_socket(f"{front.url}{path}/playwright") as other,
            open_socket(f"{front.url}{path}/playwright") as socket,
        ):
            await begin(other)
            await socket.send(attack)
            assert (await socket.closed())[0] == code
            await other.say(2, PAGE, "reload")
            assert await other.reply(2) == {"id": 2, "result": {}}
        assert (await info(front, path))["state"] == "live"


async def test_message_of_100_mb_is_not_taken_in() -> None:
    """The client is told at 32 MB, and its session lives."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            with contextlib.suppress(trio.BrokenResourceError):
                # A frame of 100 MB, as it is announced, without a mask that would have to be applied.
                await socket.stream.send_all(b"\x81\xff" + (100 << 20).to_bytes(8, "big") + bytes(4))
                for _ in range(100):
                    await socket.stream.send_all(b" " * (1 << 20))
            assert (await socket.closed())[0] in {1009, None}
        assert drivers(front)[0].sent == []
        assert (await info(front, path))["state"] == "live"


async def test_frame_that_breaks_the_protocol_ends_one_client() -> None:
    """Cut in the middle, or not a frame at all."""
    async with open_front() as front:
        path = await front.establish()
        for data in (
            b"\x81\xfe\x00\x80" + bytes(4) + b"half",
            b"\xff\xff\xff\xff",
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            async with open_socket(f"{front.url}{path}/playwright") as socket:
                await begin(socket)
                await socket.stream.send_all(data)
        with trio.fail_after(PATIENCE_S):
            while (await info(front, path))["clients"]:
                await trio.sleep(0.01)
        assert (await info(front, path))["state"] == "live"


async def test_a_thousand_refused_calls_are_answered() -> None:
    """Each of them; the session and the daemon answer others meanwhile."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket, trio.open_nursery() as nursery:
            await begin(socket)

            async def flood() -> None:
                for number in range(1000):
                    await socket.say(10 + number, "localUtils", "zip", zipFile="/tmp/x")

            nursery.start_soon(flood)
            assert (await front.client.get("/health")).status_code == 200
            assert "error" in await socket.reply(1009)
        assert (await info(front, path))["refused_calls"] == 1000
        assert [sent["method"] for sent in drivers(front)[0].sent] == ["initialize"]


async def test_client_that_stops_reading_is_dropped_and_holds_up_nothing() -> None:
    """Neither memory, nor the end of its session, nor another client."""
    async with open_front() as front:
        path = await front.establish()
        async with (
            open_socket(f"{front.url}{path}/playwright") as other,
            open_socket(f"{front.url}{path}/playwright") as deaf,
        ):
            await begin(other)
            await begin(deaf)
            driver = drivers(front)[1]
            text = "x" * (1 << 20)
            for _ in range((MAX_UNREAD_BYTES >> 20) + 16):  # and what the sockets hold
                driver.say({"guid": PAGE, "method": "console", "params": {"text": text}})
            with trio.fail_after(PATIENCE_S):
                while (await info(front, path))["clients"] > 1:
                    await trio.sleep(0.01)
            await other.say(2, PAGE, "reload")
            assert await other.reply(2) == {"id": 2, "result": {}}
            assert (await front.client.delete(path)).status_code == 204
            assert (await other.closed())[0] == 1001


async def test_client_that_stops_reading_in_the_middle_is_dropped_in_time() -> None:
    """Although little waits for it."""
    settings, machine = make_settings(), FakeMachine()
    async with (
        open_supervisor(settings, machine=machine) as supervisor,
        open_server(
            create_app(supervisor, settings, ALL, Metrics(supervisor)),
            settings.bind,
            limits=Limits(write_s=0.2),
        ) as url,
    ):
        session = await supervisor.create_session()
        async with open_socket(f"{url}/tiktok/session/{session.id}/playwright") as deaf:
            await begin(deaf)
            [driver] = machine.browsers[session.id].drivers
            driver.say({"guid": PAGE, "method": "console", "params": {"text": "x" * (16 << 20)}})
            with trio.fail_after(PATIENCE_S):
                while (await supervisor.get_session(session.id)).clients:
                    await trio.sleep(0.01)


async def test_messages_are_not_compressed() -> None:
    """Although the client offers it: it would take the daemon longer than sending does."""
    async with open_front() as front:
        path = await front.establish()
        async with open_socket(f"{front.url}{path}/playwright") as socket:
            assert socket.accepted is not None
            assert socket.accepted.extensions == []
