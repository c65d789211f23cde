"""What comes from a host for one request: pieces, if it is a stream, then the reply."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

import attrs
import trio

from greenroom.actors.browser.client.loss import Loss
from greenroom.actors.browser.wire import messages


@attrs.define(eq=False)
class Waiting:
    """A request that waits for its pieces and its reply. `loss` is the loss that would end it.

    The channel has room for the reply and for all the pieces that the host has credit for.
    """

    session: str
    loss: Loss
    answer_to: trio.MemorySendChannel[messages.Reply | bytes]
    credit: int

    def put(self, answer: messages.Reply | bytes) -> None:
        """Pass on a reply, or a piece for which there was credit."""
        with contextlib.suppress(trio.ClosedResourceError):  # lost, but the reader has not woken up yet
            self.answer_to.send_nowait(answer)


@attrs.define(eq=False)
class Stream:
    """The pieces of a request's result, in order. After the last one, there is the `reply`.

    Iterating raises `BrowserLost` if the browser is lost before the reply. Each piece that is read lets the
    host send one more, by `give_credit`.
    """

    _give_credit: Callable[[], Awaitable[None]]
    _loss: Loss
    _answer: trio.MemoryReceiveChannel[messages.Reply | bytes]
    reply: messages.Reply | None = attrs.field(default=None, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            received = await self._answer.receive()
        except trio.EndOfChannel:
            raise self._loss.error() from None
        if not isinstance(received, bytes):
            self.reply = received
            raise StopAsyncIteration
        await self._give_credit()
        return received
