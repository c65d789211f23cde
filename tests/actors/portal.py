"""A Trio loop in a thread, for synchronous code that needs a loop for longer than one `trio.run`."""

import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import attrs
import trio

T = TypeVar("T")


@attrs.define(eq=False)
class Portal:
    """A Trio loop that runs as long as the `with` block. What is opened in it stays open between calls."""

    _thread: threading.Thread = attrs.field(init=False)
    _token: trio.lowlevel.TrioToken = attrs.field(init=False)
    _stop: trio.Event = attrs.field(init=False)
    _ready: threading.Event = attrs.field(factory=threading.Event, init=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)
        self._thread.join()

    def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run an async function in the loop and return its result."""
        return trio.from_thread.run(function, *args, trio_token=self._token)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        self._ready.set()
        await self._stop.wait()
