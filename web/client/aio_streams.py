"""How the async client reads what arrives bit by bit."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

import anyio
import httpx
import httpx_sse

from greenroom.web.client.feeds import EventSize

T = TypeVar("T")


@contextlib.asynccontextmanager
async def unwinding(parts: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Let what httpx reads come to its end, even if the block is left before.

    That is a generator which reads from others, and closing it would not close those. So it goes on, and is
    cancelled where it waits for the network.
    """
    try:
        yield parts
    finally:
        with anyio.CancelScope() as scope:
            scope.cancel()
            async for _ in parts:
                pass


def sse(answer: httpx.Response) -> AsyncIterator[httpx_sse.ServerSentEvent]:
    """Return the events that arrive."""
    kind = {"Content-Type": answer.headers.get("Content-Type", "")}
    return httpx_sse.EventSource(httpx.Response(200, headers=kind, stream=_Limited(answer))).aiter_sse()


class _Limited(httpx.AsyncByteStream):
    """What comes of a stream of events, as it is on the wire, as long as no event is too large."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        event = EventSize()
        async with unwinding(self._answer.aiter_raw()) as parts:
            async for data in parts:
                event.add(data)
                yield data


async def each(batches: AsyncIterator[list[T]]) -> AsyncGenerator[T]:
    """Yield one by one what arrives together."""
    async for batch in batches:
        for item in batch:
            yield item
