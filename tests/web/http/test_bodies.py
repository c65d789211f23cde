"""Large bodies: who may send one, and how much of them a server takes at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from greenroom.web.http.bodies import LargeBodies
from greenroom.web.http.connections import Connection
from tests.web.http.abuse import read_all
from tests.web.http.front import SESSIONS, open_front
from tests.web.http.test_connections import LIMITS, App, statuses

LARGE = f"{SESSIONS}/a/files".encode()
MB = 1 << 20
Stream = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


def head(size: int, target: bytes = LARGE) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (target, size)


@asynccontextmanager
async def connect(large: LargeBodies) -> AsyncIterator[Stream]:
    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Connection(app=App(), stream=server, limits=LIMITS, large=large).run)
        yield client


@pytest.mark.parametrize(
    ("target", "size", "answer"),
    [
        (LARGE, 2 * MB, 200),
        (LARGE + b"?a=b/actions", 2 * MB, 200),
        (f"{SESSIONS}/a/actions".encode(), 4 * MB, 413),
        (f"{SESSIONS}/a/html".encode(), MB, 413),
        (b"/mcp", MB // 2, 200),
        (b"/mcp", MB, 413),
        (b"/files", MB, 413),
        (b"/tiktok/session/a/b/files", MB, 413),
        (b"/x?/tiktok/session/a/files", MB, 413),
    ],
)
async def test_only_some_routes_take_a_large_body(
    autojump_clock: MockClock, target: bytes, size: int, answer: int
) -> None:
    """By the whole path, not by how it ends."""
    async with connect(LargeBodies()) as client:
        await client.send_all(head(size, target))
        with trio.move_on_after(1):
            await client.send_all(b"x" * size)
        assert statuses(await read_all(client)) == [answer]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_client_without_the_token_sends_no_large_body(
    autojump_clock: MockClock, is_announced: bool
) -> None:
    """It is refused before its body is in memory."""
    chunked = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % LARGE
    async with connect(LargeBodies(admits=lambda given: given == ["Bearer x"])) as client:
        await client.send_all(
            head(MB) if is_announced else chunked + b"%x\r\n" % MB + b"x" * (LIMITS.body_bytes + 1)
        )
        assert statuses(await read_all(client)) == [401]


async def test_all_large_bodies_together_have_a_limit(autojump_clock: MockClock) -> None:
    """Beyond it the answer is 503, and what others send is not hurt. A client that leaves makes room."""
    large = LargeBodies(room_bytes=3 * MB)
    async with connect(large) as first, connect(large) as second:
        await first.send_all(head(3 * MB) + b"x" * (2 * MB))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await second.send_all(head(2 * MB) + b"x" * (2 * MB))
        assert statuses(await read_all(second)) == [503]
        await first.send_all(b"x" * MB)
        assert statuses(await read_all(first)) == [200]
    async with connect(large) as leaving:
        await leaving.send_all(head(3 * MB) + b"x" * (2 * MB))
        await trio.testing.wait_all_tasks_blocked()
        await leaving.aclose()
    async with connect(large) as third:
        await third.send_all(head(3 * MB) + b"x" * (3 * MB))
        assert statuses(await read_all(third)) == [200]


async def test_daemon_takes_large_bodies_for_its_token_alone() -> None:
    """Over real HTTP."""
    token = "correct-horse-battery"
    content = b'{"kind":"evaluate","expression":"1","arg":"' + b"x" * MB + b'"}'
    async with open_front(token=token) as front:
        allowed = {"Authorization": f"Bearer {token}"}
        created = await front.client.post(SESSIONS, headers=allowed)
        url = f"{created.headers['Location']}/actions"
        assert (await front.client.post(url, content=content, headers=allowed)).status_code == 200
        assert (await front.client.post(url, content=content)).status_code == 401
