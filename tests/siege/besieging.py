"""`python -m tests.siege.besieging URL PLAN`: the clients, in a process of their own."""

import contextlib
import math
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from greenroom.web.rlimits import raise_limits
from tests.siege.plan import WATCHERS_OF_ONE, Plan
from tests.web.http.abuse import DRIPS, Address, connect, drip, read_all, reset
from tests.web.http.websockets import Refusal, open_socket

_POST = b"POST /tiktok/session HTTP/1.1\r\nHost: localhost\r\n"
_PIECE = bytes(1 << 16)
# At a time, so that the daemon's limit of sessions is never why one is refused.
_HANGING_UP = 20


async def besiege(url: str, plan: Plan, ready: Callable[[], None]) -> None:
    """Come with all that the plan has, call `ready`, stay for its time, and leave.

    Raises `RuntimeError` if the daemon has taken in fewer WebSockets than the plan has, or if a body that is
    too large was taken.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    address = parts.hostname, parts.port
    paths = await _make_sessions(url, math.ceil(plan.idle / WATCHERS_OF_ONE))
    async with trio.open_nursery() as nursery:
        for number in range(plan.idle):
            await nursery.start(_watch, f"{url}{paths[number // WATCHERS_OF_ONE]}/watch")
        for _ in range(plan.idle):
            nursery.start_soon(_forever, _connect_only, address)
        for number in range(plan.slow):
            nursery.start_soon(_forever, drip, address, list(DRIPS.values())[number % len(DRIPS)])
        ready()
        with trio.move_on_after(plan.seconds):
            async with trio.open_nursery() as busy:
                busy.start_soon(_send_bodies, address, plan)
                for _ in range(_HANGING_UP):
                    busy.start_soon(_hang_up, address, plan.hang_ups // _HANGING_UP, plan.seconds)
                await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    async with _client(url) as client:
        for path in paths:
            (await client.delete(path)).raise_for_status()


async def _forever(act: Callable[..., Awaitable[object]], *args: object) -> None:
    while True:
        with contextlib.suppress(OSError, trio.BrokenResourceError):
            await act(*args)
        await trio.sleep(0.1)


async def _connect_only(address: Address) -> None:
    async with await connect(address) as stream:
        await read_all(stream)


async def _watch(url: str, task_status: trio.TaskStatus[None]) -> None:
    try:
        async with open_socket(url) as socket:
            task_status.started()
            while True:
                await socket.receive_any()
    except Refusal as refusal:
        raise RuntimeError(f"a WebSocket was refused: {refusal.status}") from None


async def _make_sessions(url: str, count: int) -> list[str]:
    async with _client(url) as client:
        return [(await client.post("/tiktok/session")).headers["Location"] for _ in range(count)]


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)


async def _send_bodies(address: Address, plan: Plan) -> None:
    for number in range(plan.bodies):
        is_chunked = bool(number % 2)
        head = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % plan.body_bytes
        piece = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE) if is_chunked else _PIECE
        async with await connect(address) as stream:
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(_POST + head + b"\r\n\r\n")
                for _ in range(plan.body_bytes // len(_PIECE)):
                    await stream.send_all(piece)
                answer = await stream.receive_some()
                if answer and not answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 408")):
                    raise RuntimeError(f"a large body was answered with {answer[:40]!r}")


async def _hang_up(address: Address, times: int, seconds: float) -> None:
    started = trio.current_time()
    for number in range(times):
        await trio.sleep_until(started + seconds * number / times)
        stream = await connect(address)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(_POST + b"Content-Length: 0\r\n\r\n")
            await trio.sleep(0.01 * (number % 10))
        await (reset(stream) if number % 2 else stream.aclose())


if __name__ == "__main__":
    raise_limits()
    trio.run(
        besiege, sys.argv[1], msgspec.json.decode(sys.argv[2], type=Plan), lambda: print("ready", flush=True)
    )
