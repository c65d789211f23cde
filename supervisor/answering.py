"""Every request gets an answer, even if the task that should give it fails."""

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import outcome
import structlog
import trio

from greenroom.actors.bulkhead import contain

T = TypeVar("T")

_log = structlog.get_logger("greenroom.supervisor")


@contextlib.contextmanager
def answering(reply_to: trio.MemorySendChannel[outcome.Maybe[T]], request: str) -> Iterator[None]:
    """Answer with what the block raises. If the block is cancelled, close `reply_to`, which wakes the caller.

    A block that ends normally has answered, or has passed that on.
    """
    with contextlib.ExitStack() as unless_done:
        unless_done.enter_context(reply_to)
        try:
            yield
            unless_done.pop_all()
        except* Exception as group:
            answer(reply_to, outcome.Error(contain(group, _log, "a request failed", request=request)))


def answer(reply_to: trio.MemorySendChannel[outcome.Maybe[T]], result: outcome.Maybe[T]) -> None:
    """Give an answer, unless the asker has stopped waiting."""
    with contextlib.suppress(trio.BrokenResourceError):  # the asker has left
        reply_to.send_nowait(result)
